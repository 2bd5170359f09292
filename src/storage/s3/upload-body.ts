import { crc32c } from '@node-rs/crc32';
import { Readable, type Writable } from 'node:stream';
import type { BlobBody } from '../blob.ts';
import type { StallTimer } from '../stall-timer.ts';
import { sizeMismatch } from '../../errors/uploads.ts';

/** Maximum size of a written piece, so that progress to a slow store is visible. */
const PIECE_BYTES = 512 * 1024;

/** True if the body can be sent again. */
export function isRepeatable(body: BlobBody): body is BlobBody & { readonly chunks: readonly Uint8Array[] } {
  return Array.isArray(body.chunks);
}

/** CRC32C of chunks in memory. */
export function checksum(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((sum, chunk) => crc32c(chunk, sum), 0);
}

/** A CRC32C in the format of S3. */
export function encodeChecksum(crc32c: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32c);
  return bytes.toString('base64');
}

/**
 * The body with its checksum, if it is in memory. Throws SIZE_MISMATCH if its bytes do not have its declared size.
 */
export function withChecksum(body: BlobBody): BlobBody {
  if (!isRepeatable(body)) return body;
  const size = body.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  if (size !== body.sizeBytes) throw sizeMismatch(body.sizeBytes, size);
  return { ...body, crc32c: body.crc32c ?? checksum(body.chunks) };
}

/** Headers with the size of a body, and its checksum for the store to verify. */
export function bodyHeaders({ sizeBytes, crc32c }: BlobBody): Record<string, string> {
  return {
    'content-length': String(sizeBytes),
    ...(crc32c !== undefined && { 'x-amz-checksum-crc32c': encodeChecksum(crc32c) }),
  };
}

/**
 * Writes a body from memory to a request, as fast as the store accepts it, and ends the request. Restarts `stall`
 * when the store has accepted something. Calls `onHandedOver` when all bytes are with the request: from then on the
 * store may execute it.
 */
export function writeChunks(
  { sizeBytes, chunks }: BlobBody & { readonly chunks: readonly Uint8Array[] },
  request: Writable,
  stall: StallTimer,
  onHandedOver: () => void,
): void {
  const left = pieces(chunks);
  let sentBytes = 0;
  const write = (): void => {
    stall.restart();
    for (;;) {
      const next = left.next();
      if (next.done) return;
      sentBytes += next.value.length;
      if (sentBytes === sizeBytes) {
        onHandedOver();
        request.end(next.value);
      } else if (!request.write(next.value)) {
        return;
      }
    }
  };
  if (sizeBytes > 0) {
    request.on('drain', write);
    write();
  } else {
    onHandedOver();
    request.end();
  }
}

/**
 * The body of a request from a source that is read once. Fails with SIZE_MISMATCH before its last byte is passed on
 * if the source is longer or shorter than declared, so that no store takes it as complete.
 */
export class UploadBody extends Readable {
  readonly #iterator: AsyncIterator<Uint8Array>;
  readonly #sizeBytes: number;
  readonly #stall: StallTimer;
  readonly #onHandedOver: () => void;
  readonly #isSummed: boolean;
  #sentBytes = 0;
  #sum = 0;

  /**
   * `stall` runs while the store should accept bytes, not while the source is read. `onHandedOver` is called when
   * all bytes are with the request: from then on the store may execute it.
   */
  constructor(body: BlobBody, stall: StallTimer, onHandedOver: () => void) {
    super({ highWaterMark: PIECE_BYTES });
    this.#sizeBytes = body.sizeBytes;
    this.#stall = stall;
    this.#onHandedOver = onHandedOver;
    // The store verifies a given checksum.
    this.#isSummed = body.crc32c === undefined;
    this.#iterator = (body.chunks as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  }

  /** CRC32C of the bytes passed on; 0 if the body came with one. */
  get crc32c(): number {
    return this.#sum;
  }

  override _read(): void {
    this.#stall.stop();
    this.#pull().then(
      () => this.#stall.restart(),
      (error: unknown) => this.destroy(error as Error),
    );
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // Not awaited, because a source that hangs would not answer.
    void Promise.resolve(this.#iterator.return?.()).catch(() => undefined);
    done(error);
  }

  async #pull(): Promise<void> {
    const chunk = await this.#next();
    const sent = this.#sentBytes + (chunk?.length ?? 0);
    const whole = sent === this.#sizeBytes;
    if (!chunk && !whole) throw sizeMismatch(this.#sizeBytes, this.#sentBytes);
    if (sent > this.#sizeBytes || (chunk && whole && (await this.#next())))
      throw sizeMismatch(this.#sizeBytes, 'more');
    if (this.destroyed) return;
    this.#sentBytes = sent;
    if (chunk && this.#isSummed) this.#sum = crc32c(chunk, this.#sum);
    if (whole) this.#onHandedOver();
    if (chunk) this.push(chunk);
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
