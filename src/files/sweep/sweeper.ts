import { randomUUID } from 'node:crypto';
import { AssetError } from '../../errors/asset-error.ts';
import { underLease } from '../lease.ts';
import { paceOf, type Pace } from '../../system/rate.ts';
import { sweep } from './sweep.ts';
import { trimChanges } from './changes.ts';
import { failureCount, KnownFailures, type SweepContext, type SweepReport } from './run.ts';

/** Options of a {@link Sweeper}. */
export interface SweeperOptions {
  /** Time between two sweeps, in milliseconds; 0 to sweep only on request. */
  readonly intervalMs: number;
  /** Maximum number of blobs deleted per second. */
  readonly deletionsPerSecond: number;
  /** Age from which changes are removed from the change log, in milliseconds. */
  readonly changesRetentionMs: number;
  /** Called once, after the first sweep of this process; from then on {@link Sweeper.check} has a result. */
  readonly onFirstSweep?: () => void;
  /** Called after each sweep of this process with what it did, or with undefined if it failed. */
  readonly onSweep?: ((report: SweepReport | undefined) => void) | undefined;
}

/** Sweeps at an interval until it is closed, one process at a time. A failed sweep is repeated with the next. */
export class Sweeper {
  readonly #context: SweepContext;
  readonly #holder = randomUUID();
  readonly #leaseMs: number;
  readonly #pace: Pace;
  readonly #changesRetentionMs: number;
  readonly #abort = new AbortController();
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #known = new KnownFailures();
  #running: Promise<void> | undefined;
  readonly #onSweep: SweeperOptions['onSweep'];
  #onFirstSweep: (() => void) | undefined;
  /** Why the last sweep failed or was incomplete. */
  #trouble: Error | undefined;
  #failed = 0;

  constructor(context: SweepContext, options: SweeperOptions) {
    const { intervalMs, deletionsPerSecond } = options;
    this.#context = context;
    this.#leaseMs = leaseTime(intervalMs);
    this.#pace = paceOf(deletionsPerSecond);
    this.#changesRetentionMs = options.changesRetentionMs;
    this.#onFirstSweep = options.onFirstSweep;
    this.#onSweep = options.onSweep;
    if (intervalMs === 0) return;
    this.#timer = setInterval(() => {
      this.#running ??= this.#sweep().finally(() => (this.#running = undefined));
    }, intervalMs);
    this.#timer.unref();
  }

  /**
   * Sweeps once, now. Rejects if it fails or this is closed meanwhile.
   *
   * @returns undefined if another process is sweeping
   */
  sweepNow(): Promise<SweepReport | undefined> {
    const { catalog, log } = this.#context;
    const lease = { name: 'sweep', holder: this.#holder, ttlMs: this.#leaseMs };
    return underLease(catalog, lease, this.#abort.signal, async (signal) => {
      log.debug({ holder: this.#holder }, 'sweeping');
      try {
        const report = await sweep(this.#context, signal, this.#pace, this.#known);
        return { ...report, trimmed: await trimChanges(catalog, this.#changesRetentionMs, signal) };
      } finally {
        log.debug({ holder: this.#holder }, 'the sweep is over');
      }
    });
  }

  /** Ends the running sweep and starts no more. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#abort.abort();
    await this.#running;
  }

  /** Resolves if the last sweep of this process removed everything. Otherwise rejects with the reason. */
  check(): Promise<void> {
    return this.#trouble === undefined ? Promise.resolve() : Promise.reject(this.#trouble);
  }

  async #sweep(): Promise<void> {
    try {
      const report = await this.sweepNow();
      if (report) this.#tell(report);
      // Another process sweeps and has the result.
      else this.#trouble = undefined;
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      this.#trouble = error as Error;
      this.#onSweep?.(undefined);
      this.#context.log.warn({ err: error }, 'a sweep failed; the next one goes on');
    }
    this.#onFirstSweep?.();
    this.#onFirstSweep = undefined;
  }

  #tell(report: SweepReport): void {
    const { log } = this.#context;
    this.#onSweep?.(report);
    const { failures, ...counts } = report;
    const failed = failureCount(report);
    const sum = report.purged + report.uploads + report.reservations + report.cleaned + report.trimmed;
    if (sum > 0) log.info(counts, 'swept');
    if (failed > 0 && failed !== this.#failed) log.warn(counts, 'the sweeper could not remove everything');
    this.#failed = failed;
    this.#trouble = failed > 0 ? incomplete(failed, failures[0]?.error) : undefined;
  }
}

function incomplete(failed: number, cause: unknown): AssetError {
  const message = `the last sweep could not remove ${failed} ${failed === 1 ? 'thing' : 'things'}; the log says which`;
  return new AssetError('INTERNAL', message, { cause });
}

const MINUTES_2 = 120_000;

/** About two intervals: at most two minutes more than one, and never so short that a slow catalog would lose it. */
function leaseTime(intervalMs: number): number {
  if (intervalMs === 0) return MINUTES_2;
  return intervalMs + Math.min(Math.max(intervalMs, 3_000), MINUTES_2);
}
