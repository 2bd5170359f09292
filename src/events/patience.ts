import { setTimeout as sleep } from 'node:timers/promises';
import { isAssetError } from '../errors/asset-error.ts';
import { MAX_OUTAGE_MS } from './change-feed.ts';
import { encodeCursor, type WatchPosition } from './cursor.ts';
import type { WatchItem } from './watch-item.ts';

/** Maximum time without a message, in milliseconds. The contract promises 15 seconds. */
export const CHECKPOINT_MS = 10_000;

/** First wait between two attempts while the catalog is down, in milliseconds. */
const FIRST_RETRY_MS = 250;
const MAX_RETRY_MS = 4_000;

/** Waits for the catalog on behalf of a watch: sends checkpoints meanwhile, and retries while the catalog is down. */
export class Patience {
  readonly #signal: AbortSignal;
  /** When the next checkpoint is due. The first is due at once, which tells the caller that the watch has begun. */
  #due = 0;

  /** Position of the watch. */
  position: WatchPosition | undefined;

  /** @param signal - ends all waiting */
  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** Starts the time until the next checkpoint again, because a message is sent. */
  rest(): void {
    this.#due = performance.now() + CHECKPOINT_MS;
  }

  /** Time until a checkpoint is due, in milliseconds; 0 if it is. */
  get left(): number {
    return Math.max(0, this.#due - performance.now());
  }

  /** A checkpoint at the position, if one is due. */
  *checkpoint(): Generator<WatchItem> {
    if (this.left > 0 || this.position === undefined) return;
    yield { kind: 'checkpoint', existingDone: false, cursor: encodeCursor(this.position) };
  }

  /** Returns the result of `work`. Sends checkpoints until then. */
  async *until<T>(work: () => Promise<T>): AsyncGenerator<WatchItem, T> {
    const done = this.#again(work).then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    for (;;) {
      // At least 50 ms: no checkpoint before a read that is fast.
      const outcome = await within(done, Math.max(50, this.left));
      if (outcome === undefined) yield* this.checkpoint();
      else if ('value' in outcome) return outcome.value;
      else throw outcome.error;
    }
  }

  /** Retries while the catalog is down, for at most {@link MAX_OUTAGE_MS}. */
  async #again<T>(work: () => Promise<T>): Promise<T> {
    const end = performance.now() + MAX_OUTAGE_MS;
    for (let wait = FIRST_RETRY_MS; ; wait = Math.min(2 * wait, MAX_RETRY_MS)) {
      try {
        return await work();
      } catch (error) {
        if (!isAssetError(error, 'CATALOG_UNAVAILABLE') || performance.now() + wait > end) throw error;
        await sleep(wait, undefined, { signal: this.#signal });
      }
    }
  }
}

/** The result of `done`, or undefined if it takes longer than `ms`. `done` must not reject. */
function within<T>(done: Promise<T>, ms: number): Promise<T | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms, undefined);
    void done.then((value) => {
      clearTimeout(timer);
      resolve(value);
    });
  });
}
