import { crc32c } from '@node-rs/crc32';
import { open, type FileHandle } from 'node:fs/promises';
import { AssetError } from '../../errors/asset-error.ts';
import { storeUnavailable } from '../../errors/dependencies.ts';
import { checksumMismatch, sizeMismatch } from '../../errors/uploads.ts';
import { directoryFault } from '../../errors/setup-fault.ts';
import type { BlobBody, BlobRange } from '../blob.ts';
import { Readable } from 'node:stream';
import { readOffsetOutOfRange } from '../../errors/records.ts';
import { BlobReader } from '../blob-reader.ts';

/** True if the error has one of these system codes. */
export function hasErrno(error: unknown, ...codes: string[]): boolean {
  return codes.includes((error as NodeJS.ErrnoException | undefined)?.code ?? '');
}

/** True if a system call failed. */
function isSystemError(error: unknown): boolean {
  return typeof (error as NodeJS.ErrnoException | undefined)?.syscall === 'string';
}

/**
 * Runs work on the file system. System errors, such as a full disk or a missing directory, become
 * STORE_UNAVAILABLE; other errors pass through.
 */
export async function onDisk<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof AssetError || !isSystemError(error)) throw error;
    throw storeUnavailable(directoryFault(error) ?? error);
  }
}

/**
 * Writes a body to an open file at `offset` and makes it durable. Rejects with SIZE_MISMATCH, CHECKSUM_MISMATCH or
 * the signal's reason.
 */
export async function writeBody(
  file: FileHandle,
  body: BlobBody,
  offset: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  let written = 0;
  let sum = 0;
  for await (const chunk of abortable(body.chunks, signal)) {
    if (written + chunk.length > body.sizeBytes) throw sizeMismatch(body.sizeBytes, 'more');
    for (let done = 0; done < chunk.length;) {
      const { bytesWritten } = await file.write(chunk, done, chunk.length - done, offset + written + done);
      done += bytesWritten;
    }
    written += chunk.length;
    sum = crc32c(chunk, sum);
  }
  signal?.throwIfAborted();
  if (written < body.sizeBytes) throw sizeMismatch(body.sizeBytes, written);
  if (body.crc32c !== undefined && sum !== body.crc32c) {
    throw checksumMismatch('crc32c', 'a part of the data');
  }
  await file.sync();
}

/** Passes chunks on until the signal is aborted, even while the source is slow. */
async function* abortable(
  chunks: BlobBody['chunks'],
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const iterator =
    Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : chunks[Symbol.iterator]();
  try {
    for (;;) {
      signal?.throwIfAborted();
      const next = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
        const abort = () => reject(signal!.reason as Error);
        signal?.addEventListener('abort', abort, { once: true });
        Promise.resolve(iterator.next())
          .then(resolve, reject)
          .finally(() => signal?.removeEventListener('abort', abort));
      });
      if (next.done) return;
      yield next.value;
    }
  } finally {
    // Not awaited, because a source that hangs would not answer.
    void Promise.resolve(iterator.return?.()).catch(() => undefined);
  }
}

/** Makes the entries of a directory durable. */
export async function syncDir(path: string): Promise<void> {
  const dir = await open(path, 'r');
  try {
    await dir.sync();
  } finally {
    await dir.close();
  }
}

const STALL_TIMEOUT_MS = 10_000;

/**
 * Reads an open file or a range, and closes it at the end. Rejects with READ_OFFSET_OUT_OF_RANGE; then the caller
 * must close the file.
 */
export async function readRange(
  file: FileHandle,
  { offset, length = Infinity }: BlobRange,
  signal: AbortSignal | undefined,
): Promise<Readable> {
  const { size } = await file.stat();
  if (offset > 0 && offset >= size) {
    throw readOffsetOutOfRange(size);
  }
  const sizeBytes = Math.min(length, size - offset);
  if (sizeBytes === 0) {
    await file.close();
    return Readable.from([]);
  }
  const source = file.createReadStream({
    start: offset,
    end: offset + sizeBytes - 1,
    highWaterMark: 256 * 1024,
  });
  return new BlobReader(source, { sizeBytes, stallTimeoutMs: STALL_TIMEOUT_MS, signal });
}
