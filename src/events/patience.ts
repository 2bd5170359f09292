import { setTimeout as sleep } from 'node:timers/promises';
import { isAssetError } from '../errors/asset-error.ts';
import { MAX_OUTAGE_MS } from './change-feed.ts';
import { encodeCursor, type WatchPosition } from './cursor.ts';
import type { WatchItem } from './watch-item.ts';

/** Longest time without a message, in milliseconds. The contract says 15 seconds. */
export const CHECKPOINT_MS = 10_000;

/** Waits between tries while the catalog is down, in milliseconds. */
const FIRST_RETRY_MS = 250;
const MAX_RETRY_MS = 4_000;

/** Lets a watch wait for its catalog: sends checkpoints meanwhile, and tries again while the catalog is down. */
export class Patience {
  readonly #signal: AbortSignal;
  /** The caller gets its first message at once: it knows then that the watch has begun. */
  #due = 0;

  /** Where the watch stands. */
  position: WatchPosition | undefined;

  /** @param signal - ends all waiting */
  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** A message is being sent. */
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

  /** What `work` resolves with. Sends checkpoints until then. */
  async *until<T>(work: () => Promise<T>): AsyncGenerator<WatchItem, T> {
    const done = this.#again(work).then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    for (;;) {
      const stop = new AbortController();
      // At least a moment: a read that takes no time needs no checkpoint before it.
      const late = sleep(Math.max(50, this.left), undefined, { signal: stop.signal }).catch(() => undefined);
      const outcome = await Promise.race([done, late]);
      stop.abort();
      if (outcome === undefined) yield* this.checkpoint();
      else if ('value' in outcome) return outcome.value;
      else throw outcome.error;
    }
  }

  /** Tries again while the catalog is down, for at most {@link MAX_OUTAGE_MS}. */
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
