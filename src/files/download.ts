import type { Readable } from 'node:stream';
import type { FileRecord } from '../catalog/file-catalog.ts';
import { readOffsetOutOfRange } from '../errors/records.ts';
import type { Caller } from '../identity/caller.ts';
import type { FilesContext } from './context.ts';
import { bytesOf, type FileName } from './old-files.ts';
import { getFile, assertLive } from './records.ts';

/**
 * Opens a file's bytes.
 *
 * @param offset - first byte; the size of the file is allowed and reads nothing
 * @param limit - maximum number of bytes; 0 for all
 * @returns the record, and the bytes if there are any to read
 * @throws AssetError PERMISSION_DENIED, FILE_NOT_FOUND, FILE_DELETED, READ_OFFSET_OUT_OF_RANGE, FILE_NOT_MOVED,
 *   BLOB_MISSING
 */
export async function openFile(
  context: FilesContext,
  caller: Caller,
  name: FileName,
  offset: number,
  limit: number,
  signal: AbortSignal,
): Promise<{ readonly file: FileRecord; readonly content: Readable | undefined }> {
  const record = assertLive(await getFile(context, caller, name, signal));
  const bytes = await bytesOf(context, record, signal);
  // An old record may not say how large the file is.
  const { sizeBytes } = bytes;
  const file = sizeBytes === record.sizeBytes ? record : { ...record, sizeBytes };
  if (offset > file.sizeBytes) {
    throw readOffsetOutOfRange(file.sizeBytes);
  }
  if (offset === file.sizeBytes) return { file, content: undefined };
  const range = { offset, ...(limit > 0 && { length: limit }) };
  return { file, content: await bytes.read(range, { signal }) };
}
