import { Readable } from 'node:stream';
import { StallTimer } from './stall-timer.ts';
import { storeUnavailable } from '../errors/dependencies.ts';

/** Options of {@link BlobReader}. */
export interface BlobReaderOptions {
  /** Number of bytes that the source must provide. */
  readonly sizeBytes: number;
  /** How long the source may provide nothing while it is read, in milliseconds. */
  readonly stallTimeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A stream of the bytes of a blob. It ends without an error only after all bytes. If the source fails, stalls or ends
 * early, it fails with STORE_UNAVAILABLE.
 */
export class BlobReader extends Readable {
  readonly #source: Readable;
  readonly #stall: StallTimer;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = () => this.destroy(this.#signal!.reason as Error);
  #leftBytes: number;

  constructor(source: Readable, { sizeBytes, stallTimeoutMs, signal }: BlobReaderOptions) {
    super({ highWaterMark: 256 * 1024 });
    this.#source = source;
    this.#leftBytes = sizeBytes;
    this.#stall = new StallTimer(stallTimeoutMs, (error) => this.#fail(error));
    this.#signal = signal;
    source.pause();
    source.on('data', (chunk: Uint8Array) => this.#take(chunk));
    source.once('end', () => this.#end());
    source.once('error', (error) => this.#fail(error));
    source.once('close', () => this.#end());
    if (signal?.aborted) this.#onAbort();
    else signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  override _read(): void {
    this.#stall.restart();
    this.#source.resume();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#stall.stop();
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#source.destroy();
    done(error);
  }

  #take(chunk: Uint8Array): void {
    this.#stall.restart();
    this.#leftBytes -= chunk.length;
    if (this.#leftBytes < 0) return this.#fail(new Error('the store sent more than it said'));
    if (this.push(chunk)) return;
    // The reader is slower than the store.
    this.#source.pause();
    this.#stall.stop();
  }

  #end(): void {
    if (this.destroyed || this.readableEnded) return;
    if (this.#leftBytes > 0) return this.#fail(new Error('the store sent less than it said'));
    this.#stall.stop();
    this.push(null);
  }

  #fail(cause: unknown): void {
    this.destroy(storeUnavailable(cause));
  }
}
