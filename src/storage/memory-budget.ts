import { PartBuffers } from './part-buffers.ts';

/** Takes bytes of a budget and gives them back. */
export interface MemoryShare {
  /** Buffers to fill with what was reserved. */
  readonly buffers: PartBuffers;
  /**
   * Waits until `bytes` are free and takes them; the function it resolves with gives them back and may
   * be called more than once. A request for more than there is waits for all of it. Rejects with
   * `signal.reason` if the signal is aborted before.
   */
  reserve(bytes: number, signal?: AbortSignal): Promise<() => void>;
}

interface Waiter {
  readonly bytes: number;
  readonly holder: string;
  readonly grant: () => void;
}

/**
 * Bounds the bytes that all uploads of the process hold at once: a semaphore counted in bytes. Of several holders that
 * wait the one that holds least is served first, so that a crowd of one holder does not keep the others out. Of one
 * holder who asks first is served first, so that many small requests cannot starve a large one.
 *
 * It cannot deadlock as long as whoever holds bytes gives them back without needing more.
 */
export class MemoryBudget implements MemoryShare {
  readonly totalBytes: number;
  /** Greatest number of bytes that one holder has at once. */
  readonly shareBytes: number;
  /** Buffers to fill with what was reserved. */
  readonly buffers = new PartBuffers();
  #usedBytes = 0;
  readonly #usedBy = new Map<string, number>();
  readonly #waiting = new Set<Waiter>();

  /** @param shareBytes - what one holder may have of it; all where left out */
  constructor(totalBytes: number, shareBytes = totalBytes) {
    if (!(totalBytes > 0)) throw new RangeError('a memory budget must be larger than 0');
    this.totalBytes = totalBytes;
    this.shareBytes = Math.min(shareBytes, totalBytes);
  }

  /** Bytes that are given out now. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Requests that wait for bytes now. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** What one holder may have of the budget. */
  of(holder: string): MemoryShare {
    return { buffers: this.buffers, reserve: (bytes, signal) => this.reserve(bytes, signal, holder) };
  }

  /** Reserves for one holder; without a name for one of its own. */
  async reserve(bytes: number, signal?: AbortSignal, holder = ''): Promise<() => void> {
    signal?.throwIfAborted();
    const taken = Math.min(bytes, this.shareBytes);
    if (this.#waiting.size === 0 && this.#fits(taken, holder)) this.#take(taken, holder);
    else await this.#turn(taken, holder, signal);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#take(-taken, holder);
      this.#serve();
    };
  }

  #turn(bytes: number, holder: string, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const giveUp = () => {
        this.#waiting.delete(waiter);
        reject(signal!.reason as Error);
        // Whoever waits behind may need less than this one did.
        this.#serve();
      };
      const waiter: Waiter = {
        bytes,
        holder,
        grant: () => {
          signal?.removeEventListener('abort', giveUp);
          resolve();
        },
      };
      this.#waiting.add(waiter);
      signal?.addEventListener('abort', giveUp, { once: true });
      // Those who wait may all have had their share.
      this.#serve();
    });
  }

  #serve(): void {
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      if (this.#usedBytes + next.bytes > this.totalBytes) return;
      this.#waiting.delete(next);
      this.#take(next.bytes, next.holder);
      next.grant();
    }
  }

  /** The first request of the holder that has least, of those who have not had their share. */
  #next(): Waiter | undefined {
    const seen = new Set<string>();
    let next: Waiter | undefined;
    for (const waiter of this.#waiting) {
      if (seen.has(waiter.holder)) continue;
      seen.add(waiter.holder);
      if (this.#heldBy(waiter.holder) + waiter.bytes > this.shareBytes) continue;
      if (next === undefined || this.#heldBy(waiter.holder) < this.#heldBy(next.holder)) next = waiter;
    }
    return next;
  }

  #fits(bytes: number, holder: string): boolean {
    return this.#usedBytes + bytes <= this.totalBytes && this.#heldBy(holder) + bytes <= this.shareBytes;
  }

  #take(bytes: number, holder: string): void {
    this.#usedBytes += bytes;
    const held = this.#heldBy(holder) + bytes;
    if (held === 0) this.#usedBy.delete(holder);
    else this.#usedBy.set(holder, held);
  }

  #heldBy(holder: string): number {
    return this.#usedBy.get(holder) ?? 0;
  }
}
