import type { FileCatalog, FileRecord } from '../catalog/file-catalog.ts';
import { isAssetError } from '../errors/asset-error.ts';
import { readBytes } from '../files/bytes.ts';
import { digestOf } from '../files/upload/checksums.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import type { Pace } from '../system/rate.ts';

/** What is wrong with the bytes of a file. */
export type VerifyReason = 'missing' | 'size' | 'sha256' | 'crc32c';

/** All of {@link VerifyReason}. */
export const VERIFY_REASONS: readonly VerifyReason[] = ['missing', 'size', 'sha256', 'crc32c'];

/** The result for one file. */
export interface CheckedFile {
  readonly id: string;
  /**
   * - `whole`: all bytes were read and match the record;
   * - a {@link VerifyReason}: they do not;
   * - `gone`: the file was purged meanwhile;
   * - `not-moved`: the record has no checksum, because the bytes are still in the old bucket; nothing was read;
   * - `unknown`: the store did not answer.
   */
  readonly end: 'whole' | 'gone' | 'not-moved' | 'unknown' | VerifyReason;
  /** Number of bytes read to the end. */
  readonly bytes: number;
  /** Of `unknown`: the failure of the store. */
  readonly error?: unknown;
}

/** What {@link checkFile} needs. */
export interface CheckParts {
  readonly catalog: Pick<FileCatalog, 'get'>;
  readonly store: BlobStore;
  /** Limits the bytes read per second, if set. */
  readonly bytePace?: Pace | undefined;
}

/**
 * Reads the bytes of a file and compares them with its record. Rejects like {@link FileCatalog.get}, and with
 * `signal.reason`.
 */
export async function checkFile(
  parts: CheckParts,
  file: FileRecord,
  signal: AbortSignal,
): Promise<CheckedFile> {
  const { id } = file;
  if (file.sha256 === undefined) return { id, end: 'not-moved', bytes: 0 };
  try {
    const { reason, bytes } = await compareBytes(parts, file, signal);
    if (reason === undefined) return { id, end: 'whole', bytes };
    // It may have been purged, or moved to or from the old bucket, since the record was read.
    const now = (await parts.catalog.get([id], { signal })).get(id);
    if (now?.sha256 === undefined) return { id, end: 'gone', bytes };
    const hasOtherBytes = Buffer.compare(now.sha256, file.sha256) !== 0 || now.sizeBytes !== file.sizeBytes;
    return hasOtherBytes ? await checkFile(parts, now, signal) : { id, end: reason, bytes };
  } catch (error) {
    if (!isAssetError(error, 'STORE_UNAVAILABLE')) throw error;
    return { id, end: 'unknown', bytes: 0, error };
  }
}

/** How the stored bytes differ from a record that has a checksum; `reason` is undefined if they do not. */
async function compareBytes({ store, bytePace }: CheckParts, file: FileRecord, signal: AbortSignal) {
  return compareContent(
    file,
    () => readBytes(store, file.id, { signal }),
    async (chunk) => bytePace?.(chunk.byteLength, signal),
  );
}

/**
 * How some content differs from a record that has a checksum; `reason` is undefined if it does not. Rejects if the content
 * cannot be read.
 */
export async function compareContent(
  file: FileRecord,
  open: () => Promise<AsyncIterable<unknown>>,
  look?: (chunk: Uint8Array) => Promise<void>,
): Promise<{ readonly reason: VerifyReason | undefined; readonly bytes: number }> {
  try {
    const found = await digestOf((await open()) as AsyncIterable<Uint8Array>, look);
    return { reason: differing(file, found), bytes: found.sizeBytes };
  } catch (error) {
    if (isAssetError(error, 'BLOB_MISSING')) return { reason: 'missing', bytes: 0 };
    throw error;
  }
}

function differing(
  file: FileRecord,
  { sizeBytes, sha256, crc32c }: Awaited<ReturnType<typeof digestOf>>,
): VerifyReason | undefined {
  if (sizeBytes !== file.sizeBytes) return 'size';
  if (Buffer.compare(sha256, file.sha256!) !== 0) return 'sha256';
  return file.crc32c !== undefined && file.crc32c !== crc32c ? 'crc32c' : undefined;
}
