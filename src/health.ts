import type { Logger } from 'pino';
import { causeText } from './setup-fault.ts';

/** Something the service cannot work without. */
export interface Dependency {
  /** `store`, `catalog`, `old-bucket`, `identity`, `scanner` or `sweep`. */
  readonly name: string;
  /** True if the service does its work without it as well: it has its own status and nothing else. */
  readonly optional?: boolean;
  /** Resolves if the dependency can be used, within 5 seconds. */
  check(call: { readonly signal: AbortSignal }): Promise<void>;
}

const CHECK_TIMEOUT_MS = 5000;

/** Causes of one outage that are logged: some hold times or numbers and are new each time. */
const MAX_CAUSES = 10;

/**
 * Knows whether the service can do its work, by asking its dependencies at an interval. The names
 * it answers to are the empty one (the whole process), those of the RPC services, and those of the dependencies.
 */
export class HealthMonitor {
  readonly #dependencies: Dependency[];
  readonly #rpcServices: readonly string[];
  readonly #log: Logger;
  readonly #explain: (error: unknown) => string;
  readonly #up = new Map<string, boolean>();
  /** What was logged of each dependency that is down, since it is. */
  readonly #told = new Map<string, Set<string>>();
  readonly #waiting = new Set<() => void>();
  readonly #timer: NodeJS.Timeout;
  #draining = false;
  #checking: Promise<void> | undefined;

  /**
   * @param rpcServices - full names of the RPC services that need every dependency
   * @param intervalMs - time between two checks, in milliseconds
   * @param explain - says for the log why a check failed
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

  /** Every name that has a status. */
  get services(): readonly string[] {
    return ['', ...this.#rpcServices, ...this.#dependencies.map(({ name }) => name)];
  }

  /** Whether what has this name can be used; undefined if nothing has it. */
  isServing(name: string): boolean | undefined {
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

  /** Asks every dependency now. Never rejects. A check that is under way already is joined. */
  check(): Promise<void> {
    this.#checking ??= Promise.all(this.#dependencies.map((one) => this.#checkOne(one)))
      .then(() => undefined)
      .finally(() => (this.#checking = undefined));
    return this.#checking;
  }

  /** Has one more dependency checked from now on, and checks it now. */
  add(dependency: Dependency): void {
    this.#dependencies.push(dependency);
    void this.#checkOne(dependency);
  }

  /** Says NOT_SERVING from now on, so that callers turn to other replicas. */
  drain(): void {
    this.#draining = true;
    this.#announce();
  }

  /** Ends the checks. */
  close(): void {
    clearInterval(this.#timer);
  }

  /** Resolves when any status may have changed, or when `signal` is aborted. */
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

  /** Logs why a dependency is down, each cause once: who mends one mistake after the other has to see the next. */
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
