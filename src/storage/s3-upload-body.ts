import { crc32c } from '@node-rs/crc32';
import { Readable } from 'node:stream';
import type { BlobBody } from './blob-store.ts';
import type { StallTimer } from './stall-timer.ts';
import { sizeMismatch } from './store-errors.ts';

/** Pieces are handed over in this size at most, so that a slow store is seen to move. */
const PIECE_BYTES = 512 * 1024;

/** True if the body can be sent a second time. */
export function isRepeatable(body: BlobBody): body is BlobBody & { readonly chunks: readonly Uint8Array[] } {
  return Array.isArray(body.chunks);
}

/** CRC32C of chunks in memory. */
export function checksum(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((sum, chunk) => crc32c(chunk, sum), 0);
}

/** Writes a CRC32C the way S3 does. */
export function encodeChecksum(crc32c: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32c);
  return bytes.toString('base64');
}

/** The checksum that the store verifies; a body in memory always gets one. Checks such a body's size as well. */
export function checksumHeader(body: BlobBody): { ChecksumCRC32C?: string } {
  let { crc32c } = body;
  if (isRepeatable(body)) {
    const size = body.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    if (size !== body.sizeBytes) throw sizeMismatch(body.sizeBytes, size);
    crc32c ??= checksum(body.chunks);
  }
  return crc32c === undefined ? {} : { ChecksumCRC32C: encodeChecksum(crc32c) };
}

/**
 * A body on its way into one request. It fails with SIZE_MISMATCH before its last byte is handed over if it is
 * longer or shorter than it says, so that no store can take it for whole.
 */
export class UploadBody extends Readable {
  readonly #iterator: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  readonly #sizeBytes: number;
  readonly #stall: StallTimer;
  readonly #onHandedOver: () => void;
  #sentBytes = 0;
  #sum = 0;

  /**
   * `stall` runs whenever the store is to take something, and not while the source is asked. `onHandedOver`
   * is called when all bytes are with the request: from then on the store may carry it out.
   */
  constructor(body: BlobBody, stall: StallTimer, onHandedOver: () => void) {
    super({ highWaterMark: PIECE_BYTES });
    this.#sizeBytes = body.sizeBytes;
    this.#stall = stall;
    this.#onHandedOver = onHandedOver;
    this.#iterator = isRepeatable(body)
      ? pieces(body.chunks)
      : (body.chunks as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  }

  /** CRC32C of what was handed over. */
  get crc32c(): number {
    return this.#sum;
  }

  /** Reads a body of no bytes to its end; nothing of it is sent. */
  async finishEmpty(): Promise<void> {
    const chunk = await this.#next();
    if (chunk) throw sizeMismatch(0, 'more');
    this.#onHandedOver();
  }

  override _read(): void {
    this.#stall.stop();
    this.#pull().then(
      () => this.#stall.restart(),
      (error: unknown) => this.destroy(error as Error),
    );
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // Not awaited: a source that hangs would not answer.
    void Promise.resolve(this.#iterator.return?.()).catch(() => undefined);
    done(error);
  }

  async #pull(): Promise<void> {
    const chunk = await this.#next();
    if (!chunk) throw sizeMismatch(this.#sizeBytes, this.#sentBytes);
    const sent = this.#sentBytes + chunk.length;
    const whole = sent === this.#sizeBytes;
    if (sent > this.#sizeBytes || (whole && (await this.#next())))
      throw sizeMismatch(this.#sizeBytes, 'more');
    if (this.destroyed) return;
    this.#sentBytes = sent;
    this.#sum = crc32c(chunk, this.#sum);
    if (whole) this.#onHandedOver();
    this.push(chunk);
    if (whole) this.push(null);
  }

  async #next(): Promise<Uint8Array | undefined> {
    for (;;) {
      const next = await this.#iterator.next();
      if (next.done) return undefined;
      if (next.value.length > 0) return next.value;
    }
  }
}

function* pieces(chunks: readonly Uint8Array[]): Generator<Uint8Array, undefined> {
  for (const chunk of chunks) {
    for (let offset = 0; offset < chunk.length; offset += PIECE_BYTES) {
      yield chunk.subarray(offset, offset + PIECE_BYTES);
    }
  }
}
