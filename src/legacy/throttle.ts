import { setTimeout as sleep } from 'node:timers/promises';
import { paceOf, type Pace } from '../system/rate.ts';

/** Why a move waits. */
export type SlowedBy = 'rate' | 'store' | 'catalog';

/** Operations whose time is measured: a request to the old bucket, a copy of a small file, a change of a record. */
export type Timed = 'store' | 'copy' | 'catalog';

/** Weight of a new measurement in the moving average. */
const WEIGHT = 0.2;

/** Number of measurements that determine the usual time. */
const LEARNED_AFTER = 20;

/** Factor over the usual time from which a dependency counts as busy. */
const BUSY_FACTOR = 3;

/** Differences up to this are noise, in milliseconds. */
const NOISE_MS = 20;

/** Maximum wait before a file, in milliseconds. */
const MAX_WAIT_MS = 2_000;

/**
 * Limits the speed of a move: to the given rate, and further while the store or the catalog is slower than usual.
 */
export class Throttle {
  readonly #latencies = { store: new Latency(), copy: new Latency(), catalog: new Latency() };
  #rate = 0;
  #pace: Pace | undefined;
  #slowedBy: SlowedBy | undefined;

  /** Why files wait now; undefined if they do not. If there are several reasons, the one with the longest wait. */
  get slowedBy(): SlowedBy | undefined {
    return this.#slowedBy;
  }

  /** Sets the maximum number of files per second; 0 for no limit. */
  setRate(filesPerSecond: number): void {
    if (filesPerSecond === this.#rate) return;
    this.#rate = filesPerSecond;
    this.#pace = filesPerSecond > 0 ? paceOf(filesPerSecond) : undefined;
  }

  /** Adds a measurement, in milliseconds. */
  observe(of: Timed, ms: number): void {
    this.#latencies[of].observe(ms);
  }

  /** How long the next file waits because of a slow store or catalog, in milliseconds, and for which of them. */
  get wait(): { readonly ms: number; readonly for: SlowedBy | undefined } {
    const { store: question, copy, catalog: records } = this.#latencies;
    const [store, catalog] = [Math.max(question.excessMs, copy.excessMs), records.excessMs];
    const ms = Math.min(MAX_WAIT_MS, Math.max(store, catalog));
    return { ms, for: ms === 0 ? undefined : store >= catalog ? 'store' : 'catalog' };
  }

  /** Waits until the next file may start. */
  async next(signal: AbortSignal): Promise<void> {
    const { ms, for: busy } = this.wait;
    const began = performance.now();
    await this.#pace?.(1, signal);
    const waited = performance.now() - began;
    this.#slowedBy = ms > waited ? busy : waited > 1 ? 'rate' : undefined;
    if (ms > waited) await sleep(ms - waited, undefined, { signal });
  }
}

class Latency {
  #count = 0;
  #usualMs = 0;
  #nowMs = 0;

  observe(ms: number): void {
    this.#count += 1;
    this.#nowMs = this.#count === 1 ? ms : this.#nowMs + (ms - this.#nowMs) * WEIGHT;
    // The first measurements give the usual time: a store that is always slow does not count as busy.
    if (this.#count <= LEARNED_AFTER) this.#usualMs += (ms - this.#usualMs) / this.#count;
    else this.#usualMs = Math.min(this.#usualMs, this.#nowMs);
  }

  /** Time above the usual one and the noise, in milliseconds. */
  get excessMs(): number {
    if (this.#count <= LEARNED_AFTER) return 0;
    const excess = this.#nowMs - this.#usualMs;
    return this.#nowMs > this.#usualMs * BUSY_FACTOR && excess > NOISE_MS ? excess : 0;
  }
}
