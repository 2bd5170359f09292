interface Waiter {
  readonly bytes: number;
  readonly grant: () => void;
}

/**
 * Bounds the bytes that all uploads of the process hold at once: a semaphore counted in bytes. Who asks
 * first is served first, so that many small requests cannot starve a large one.
 *
 * It cannot deadlock as long as whoever holds bytes gives them back without needing more.
 */
export class MemoryBudget {
  readonly totalBytes: number;
  #usedBytes = 0;
  readonly #waiting = new Set<Waiter>();

  constructor(totalBytes: number) {
    if (!(totalBytes > 0)) throw new RangeError('a memory budget must be larger than 0');
    this.totalBytes = totalBytes;
  }

  /** Bytes that are given out now. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Requests that wait for bytes now. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Waits until `bytes` are free and takes them; the function it resolves with gives them back and may
   * be called more than once. A request for more than there is waits for all of it. Rejects with
   * `signal.reason` if the signal is aborted before.
   */
  async reserve(bytes: number, signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted();
    const taken = Math.min(bytes, this.totalBytes);
    if (this.#waiting.size > 0 || this.#usedBytes + taken > this.totalBytes) {
      await this.#turn(taken, signal);
    } else {
      this.#usedBytes += taken;
    }
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#usedBytes -= taken;
      this.#serve();
    };
  }

  #turn(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const giveUp = () => {
        this.#waiting.delete(waiter);
        reject(signal!.reason as Error);
        // Whoever waits behind may need less than this one did.
        this.#serve();
      };
      const waiter: Waiter = {
        bytes,
        grant: () => {
          signal?.removeEventListener('abort', giveUp);
          resolve();
        },
      };
      this.#waiting.add(waiter);
      signal?.addEventListener('abort', giveUp, { once: true });
    });
  }

  #serve(): void {
    for (const waiter of this.#waiting) {
      if (this.#usedBytes + waiter.bytes > this.totalBytes) return;
      this.#waiting.delete(waiter);
      this.#usedBytes += waiter.bytes;
      waiter.grant();
    }
  }
}
