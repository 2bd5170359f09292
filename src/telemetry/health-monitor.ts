import type { Logger } from 'pino';
import { causeText } from '../errors/setup-fault.ts';

/** A dependency of the service. */
export interface Dependency {
  /** `store`, `next-store`, `catalog`, `old-bucket`, `identity`, `scanner`, `sweep`, `verify` or `settings`. */
  readonly name: string;
  /** True if the service works without it: it only has its own status. */
  readonly optional?: boolean;
  /** Resolves within 5 seconds if the dependency is available. */
  check(call: { readonly signal: AbortSignal }): Promise<void>;
}

/** Name whose status is SERVING while the process answers: what restarts processes asks for it. */
const LIVE = 'live';

const CHECK_TIMEOUT_MS = 5000;

/** Maximum number of logged causes per outage: some contain times or numbers and always differ. */
const MAX_CAUSES = 10;

/**
 * The health of the service, from checks of its dependencies at an interval. It has a status for the empty name
 * (the whole process), `live`, the RPC services, and the dependencies.
 */
export class HealthMonitor {
  readonly #dependencies: Dependency[];
  readonly #rpcServices: readonly string[];
  readonly #log: Logger;
  readonly #explain: (error: unknown) => string;
  readonly #up = new Map<string, boolean>();
  /** Logged causes by dependency that is down. */
  readonly #told = new Map<string, Set<string>>();
  readonly #waiting = new Set<() => void>();
  readonly #timer: NodeJS.Timeout;
  #draining = false;
  #closed = false;
  #checking: Promise<void> | undefined;

  /**
   * @param rpcServices - full names of the RPC services that need every dependency
   * @param intervalMs - time between two checks, in milliseconds
   * @param explain - explains a failed check for the log
   */
  constructor(
    dependencies: readonly Dependency[],
    rpcServices: readonly string[],
    intervalMs: number,
    log: Logger,
    explain: (error: unknown) => string = causeText,
  ) {
    this.#explain = explain;
    this.#dependencies = [...dependencies];
    this.#rpcServices = rpcServices;
    this.#log = log;
    this.#timer = setInterval(() => void this.check(), intervalMs);
    this.#timer.unref();
  }

  /** All names with a status. */
  get services(): readonly string[] {
    return ['', LIVE, ...this.#rpcServices, ...this.#dependencies.map(({ name }) => name)];
  }

  /** Names of the dependencies. */
  get dependencies(): readonly string[] {
    return this.#dependencies.map(({ name }) => name);
  }

  /** Whether the service or dependency of this name is available; undefined for an unknown name. */
  isServing(name: string): boolean | undefined {
    if (name === LIVE) return true;
    if (name === '' || this.#rpcServices.includes(name)) {
      return (
        !this.#draining &&
        this.#dependencies.every(({ name: one, optional }) => optional === true || this.#up.get(one) === true)
      );
    }
    return this.#dependencies.some((dependency) => dependency.name === name)
      ? (this.#up.get(name) ?? false)
      : undefined;
  }

  /** Checks all dependencies now. Never rejects. Joins a running check. */
  check(): Promise<void> {
    this.#checking ??= Promise.all(this.#dependencies.map((one) => this.#checkOne(one)))
      .then(() => undefined)
      .finally(() => (this.#checking = undefined));
    return this.#checking;
  }

  /** Adds a dependency and checks it now. */
  add(dependency: Dependency): void {
    this.#dependencies.push(dependency);
    void this.#checkOne(dependency);
  }

  /** Reports NOT_SERVING from now on, so that callers use other replicas. */
  drain(): void {
    this.#draining = true;
    this.#announce();
  }

  /** True when the process is about to end: no status changes any more. */
  get isClosed(): boolean {
    return this.#closed;
  }

  /** Ends the checks, and whoever waits for a change. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#announce();
  }

  /** Resolves when a status may have changed, or `signal` is aborted. */
  nextChange(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#waiting.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#waiting.add(done);
      signal.addEventListener('abort', done);
      if (signal.aborted) done();
    });
  }

  async #checkOne(dependency: Dependency): Promise<void> {
    const { name } = dependency;
    const signal = AbortSignal.timeout(CHECK_TIMEOUT_MS);
    const error: unknown = await dependency.check({ signal }).then(
      () => undefined,
      (reason: unknown) => reason ?? new Error('check failed'),
    );
    const up = error === undefined;
    const isChange = this.#up.get(name) !== up;
    if (isChange) this.#told.delete(name);
    if (!up) this.#tell(name, this.#explain(error));
    if (!isChange) return;
    if (up) this.#log.info({ dependency: name }, 'dependency is up');
    this.#up.set(name, up);
    this.#announce();
  }

  /**
   * Logs why a dependency is down, each cause once, because an operator who corrects one mistake must see the next.
   */
  #tell(name: string, cause: string): void {
    const told = this.#told.get(name) ?? new Set();
    this.#told.set(name, told);
    if (told.has(cause) || told.size >= MAX_CAUSES) return;
    told.add(cause);
    this.#log.error({ dependency: name, cause }, 'dependency is down');
  }

  #announce(): void {
    for (const done of [...this.#waiting]) done();
  }
}
