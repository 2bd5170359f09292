import { combineCrc32c, crc32cOf } from '../crc32c.ts';
import type { BlobBody } from './blob-store.ts';

/** A body that lies in memory and knows its checksum. */
export type BufferedBody = BlobBody & { readonly chunks: readonly Uint8Array[]; readonly crc32c: number };

/** Cuts a stream of chunks of any size into parts of a given size. */
export class PartReader {
  readonly #iterator: AsyncIterator<Uint8Array>;
  readonly #signal: AbortSignal;
  /** Ends the wait for the next chunk. */
  #giveUp: ((reason: Error) => void) | undefined;
  readonly #onAbort = () => this.#giveUp?.(this.#signal.reason as Error);
  /** What a chunk held beyond the end of the last part. */
  #rest: Uint8Array | undefined;
  /** What the source failed with. It is told when nothing is left that came before. */
  #failure: { readonly reason: unknown } | undefined;

  /** Reading ends with the signal's reason when `signal` is aborted. */
  constructor(source: AsyncIterable<Uint8Array>, signal: AbortSignal) {
    this.#iterator = source[Symbol.asyncIterator]();
    this.#signal = signal;
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /**
   * Reads the next `sizeBytes`, or fewer if the source ends or fails: into `buffer`, or without copying anything where there
   * is none. Rejects with what the source failed with if there is nothing that came before.
   */
  async read(sizeBytes: number, buffer?: Buffer): Promise<BufferedBody> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    let sum = 0;
    while (size < sizeBytes && (await this.#hasMoreAfter(size))) {
      // A chunk that fits goes on as the object that it is, whose checksum is known by then.
      const rest = this.#rest!;
      const chunk = rest.length <= sizeBytes - size ? rest : rest.subarray(0, sizeBytes - size);
      this.#rest = chunk === rest ? undefined : rest.subarray(chunk.length);
      if (buffer) buffer.set(chunk, size);
      else chunks.push(chunk);
      size += chunk.length;
      sum = combineCrc32c(sum, crc32cOf(chunk), chunk.length);
    }
    return { sizeBytes: size, chunks: buffer ? [buffer.subarray(0, size)] : chunks, crc32c: sum };
  }

  /**
   * Tells whether any byte is left, which may mean waiting for the source. Rejects with what the source failed
   * with.
   */
  async hasMore(): Promise<boolean> {
    if (this.#failure) throw this.#failure.reason;
    while (!this.#rest?.length) {
      const next = await this.#next();
      if (next.done) return false;
      this.#rest = next.value;
    }
    return true;
  }

  /** Tells the source that nothing more is wanted of it. Does not wait: it may hang. */
  close(): void {
    this.#signal.removeEventListener('abort', this.#onAbort);
    void Promise.resolve(this.#iterator.return?.()).catch(() => undefined);
  }

  /** The same, with a failure kept for later if `size` bytes were read before it. */
  async #hasMoreAfter(size: number): Promise<boolean> {
    try {
      return await this.hasMore();
    } catch (reason) {
      if (size === 0) throw reason;
      this.#failure = { reason };
      return false;
    }
  }

  #next(): Promise<IteratorResult<Uint8Array>> {
    // Promise.race() would keep every chunk alive for as long as the signal lives.
    return new Promise((resolve, reject) => {
      if (this.#signal.aborted) return reject(this.#signal.reason as Error);
      this.#giveUp = reject;
      this.#iterator.next().then(resolve, reject);
    });
  }
}
