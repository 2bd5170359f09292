import { randomUUID } from 'node:crypto';
import { underLease } from './lease.ts';
import { paceOf, type Pace } from './pace.ts';
import { sweep, type SweepContext, type SweepReport } from './sweep.ts';

/** How a {@link Sweeper} sweeps. */
export interface SweeperOptions {
  /** Time between two sweeps, in milliseconds; 0 to sweep only when asked to. */
  readonly intervalMs: number;
  /** Greatest number of blobs that are deleted in a second. */
  readonly deletionsPerSecond: number;
}

/** Sweeps at an interval until it is closed, while no other process does. A sweep that fails is tried again with the next. */
export class Sweeper {
  readonly #context: SweepContext;
  readonly #holder = randomUUID();
  readonly #leaseMs: number;
  readonly #pace: Pace;
  readonly #abort = new AbortController();
  readonly #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;

  constructor(context: SweepContext, options: SweeperOptions) {
    const { intervalMs, deletionsPerSecond } = options;
    this.#context = context;
    this.#leaseMs = leaseTime(intervalMs);
    this.#pace = paceOf(deletionsPerSecond);
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
        return await sweep(this.#context, signal, this.#pace);
      } finally {
        log.debug({ holder: this.#holder }, 'the sweep is over');
      }
    });
  }

  /** Ends the sweep in hand and starts no more. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#abort.abort();
    await this.#running;
  }

  async #sweep(): Promise<void> {
    const { log } = this.#context;
    try {
      const report = await this.sweepNow();
      if (report && report.purged + report.uploads + report.reservations > 0) log.info(report, 'swept');
    } catch (error) {
      if (!this.#abort.signal.aborted) log.warn({ err: error }, 'a sweep failed; the next one goes on');
    }
  }
}

const MINUTES_2 = 120_000;

/** About two intervals: at most two minutes more than one, and never so short that a slow catalog would lose it. */
function leaseTime(intervalMs: number): number {
  if (intervalMs === 0) return MINUTES_2;
  return intervalMs + Math.min(Math.max(intervalMs, 3_000), MINUTES_2);
}
