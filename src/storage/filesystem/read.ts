import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { readOffsetOutOfRange } from '../../errors/records.ts';
import { BlobReader } from '../blob-reader.ts';
import type { BlobRange } from '../blob-store.ts';

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
