import type { Readable } from 'node:stream';
import type { FileRecord } from '../catalog/file-catalog.ts';
import { readOffsetOutOfRange } from '../errors/records.ts';
import type { Caller } from '../identity/caller.ts';
import type { FilesContext } from './context.ts';
import type { FileName } from './old-files.ts';
import { getFile, assertLive } from './records.ts';
import { requestedBytes } from './requested-bytes.ts';
import type { VariantRequest } from './variants.ts';

/** A file or variant that was opened for reading. */
export interface OpenedFile {
  readonly file: FileRecord;
  readonly contentType: string;
  /** Size of the file or of the variant, from its first byte. */
  readonly sizeBytes: number;
  /** The requested bytes; undefined if there are none. */
  readonly content: Readable | undefined;
}

/**
 * Opens the bytes of a file or of a variant.
 *
 * @param offset - first byte; the size of the file is allowed and reads nothing
 * @param limit - maximum number of bytes; 0 for all
 * @throws AssetError PERMISSION_DENIED, FILE_NOT_FOUND, FILE_DELETED, READ_OFFSET_OUT_OF_RANGE, FILE_NOT_MOVED,
 *   BLOB_MISSING, and those of `Variants.open`
 */
export async function openFile(
  context: FilesContext,
  caller: Caller,
  wanted: FileName & VariantRequest,
  offset: number,
  limit: number,
  signal: AbortSignal,
): Promise<OpenedFile> {
  const record = assertLive(await getFile(context, caller, wanted, signal));
  const bytes = await requestedBytes(context, record, wanted, signal);
  const { sizeBytes } = bytes;
  const isVariant = (wanted.variant ?? '') !== '';
  // An old record may not say how large the file is.
  const file = isVariant || sizeBytes === record.sizeBytes ? record : { ...record, sizeBytes };
  const contentType = (isVariant ? bytes.contentType : undefined) ?? record.contentType;
  const opened = { file, contentType, sizeBytes };
  if (offset > sizeBytes) throw readOffsetOutOfRange(sizeBytes);
  if (offset === sizeBytes) return { ...opened, content: undefined };
  const range = { offset, ...(limit > 0 && { length: limit }) };
  return { ...opened, content: await bytes.read(range, { signal }) };
}
