import { setTimeout as sleep } from 'node:timers/promises';
import { paceOf, type Pace } from '../system/rate.ts';

/** What slows a move down. */
export type SlowedBy = 'rate' | 'store' | 'catalog';

/** What takes time: a question to the old bucket, a copy of a small file, a change of a record. */
export type Timed = 'store' | 'copy' | 'catalog';

/** How much a new time counts against those before it. */
const WEIGHT = 0.2;

/** Times after which it is known how long something usually takes. */
const LEARNED_AFTER = 20;

/** Times longer than usual by which something is taken to be busy with others. */
const BUSY_FACTOR = 3;

/** Differences that are noise, in milliseconds. */
const NOISE_MS = 20;

/** Longest wait before a file, in milliseconds. */
const MAX_WAIT_MS = 2_000;

/** Holds a move back: to the rate that was asked for, and by as much as store or catalog take longer than they usually do. */
export class Throttle {
  readonly #latencies = { store: new Latency(), copy: new Latency(), catalog: new Latency() };
  #rate = 0;
  #pace: Pace | undefined;
  #slowedBy: SlowedBy | undefined;

  /** Why files wait at present; undefined if they do not. The strongest reason where there are several. */
  get slowedBy(): SlowedBy | undefined {
    return this.#slowedBy;
  }

  /** Sets the greatest number of files a second; 0 for any number. */
  setRate(filesPerSecond: number): void {
    if (filesPerSecond === this.#rate) return;
    this.#rate = filesPerSecond;
    this.#pace = filesPerSecond > 0 ? paceOf(filesPerSecond) : undefined;
  }

  /** Takes down how long something took, in milliseconds. */
  observe(of: Timed, ms: number): void {
    this.#latencies[of].observe(ms);
  }

  /** How long the next file is to wait for store and catalog, in milliseconds, and for which of them. */
  get wait(): { readonly ms: number; readonly for: SlowedBy | undefined } {
    const { store: question, copy, catalog: records } = this.#latencies;
    const [store, catalog] = [Math.max(question.excessMs, copy.excessMs), records.excessMs];
    const ms = Math.min(MAX_WAIT_MS, Math.max(store, catalog));
    return { ms, for: ms === 0 ? undefined : store >= catalog ? 'store' : 'catalog' };
  }

  /** Waits until the next file may be begun. */
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
    // Learned while it is quick: a store that is slow from the beginning on is not taken for a busy one.
    if (this.#count <= LEARNED_AFTER) this.#usualMs += (ms - this.#usualMs) / this.#count;
    else this.#usualMs = Math.min(this.#usualMs, this.#nowMs);
  }

  /** By how much it takes longer than usual now, beyond what counts as noise. */
  get excessMs(): number {
    if (this.#count <= LEARNED_AFTER) return 0;
    const excess = this.#nowMs - this.#usualMs;
    return this.#nowMs > this.#usualMs * BUSY_FACTOR && excess > NOISE_MS ? excess : 0;
  }
}
