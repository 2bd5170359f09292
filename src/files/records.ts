import type { FileRecord } from '../catalog/file-catalog.ts';
import { AssetError } from '../errors/asset-error.ts';
import { fileNotFound } from '../errors/records.ts';
import type { Caller } from '../identity/caller.ts';
import { AnswerRoom, noRoom, readMany, recordBytes } from './answer-room.ts';
import type { FilesContext } from './context.ts';
import { lookUp, noteUse, type FileName } from './old-files.ts';
import type { FileAction } from './policy/decide.ts';
import { authorize, may, tellUnknown } from './policy/guard.ts';

/**
 * The record of a file, deleted or not.
 *
 * @throws AssetError PERMISSION_DENIED, FILE_NOT_FOUND
 */
export async function getFile(
  context: FilesContext,
  caller: Caller,
  name: FileName,
  signal: AbortSignal,
): Promise<FileRecord> {
  const found = await lookUp(context, name, signal);
  const file = permitted(context, caller, 'read', found?.id ?? name.fileId, found);
  noteUse(context, caller, name);
  return file;
}

/**
 * The record of a file with which the caller may do something, deleted or not.
 *
 * @throws AssetError PERMISSION_DENIED, FILE_NOT_FOUND
 */
export async function fileFor(
  context: FilesContext,
  caller: Caller,
  action: FileAction,
  fileId: string,
  signal: AbortSignal,
): Promise<FileRecord> {
  const file = await context.records.get(fileId, signal);
  return permitted(context, caller, action, fileId, file);
}

function permitted(
  context: FilesContext,
  caller: Caller,
  action: FileAction,
  fileId: string,
  file: FileRecord | undefined,
): FileRecord {
  authorize(context, caller, action, fileId, file);
  if (file === undefined) throw fileNotFound(fileId);
  return file;
}

/**
 * The records of many files, and the ids that the caller may not see or that name no file, both in the order of the request.
 *
 * @throws AssetError MESSAGE_TOO_LARGE (metadata: max_bytes, max_files) if they do not fit into one response
 */
export async function getFiles(
  context: FilesContext,
  caller: Caller,
  fileIds: readonly string[],
  signal: AbortSignal,
): Promise<{ readonly files: readonly FileRecord[]; readonly missing: readonly string[] }> {
  const room = new AnswerRoom();
  const files: FileRecord[] = [];
  const missing: string[] = [];
  const unknown: string[] = [];
  using _told = { [Symbol.dispose]: () => tellUnknown(context, caller, unknown) };
  for (let at = 0; at < fileIds.length;) {
    const ids = fileIds.slice(at, at + room.next(fileIds.length - at));
    const found = await getMany(context, ids, signal);
    for (const [index, id] of ids.entries()) {
      const file = found.get(id);
      if (file === undefined) unknown.push(id);
      const isSeen = file !== undefined && may(context, caller, 'read', id, file);
      if (!room.take(isSeen ? recordBytes(file) : Buffer.byteLength(id) + 8)) {
        const fitting = String(at + index);
        throw noRoom(`the records do not fit: ask for at most ${fitting} of these files`, {
          max_files: fitting,
        });
      }
      if (isSeen) files.push(file);
      else missing.push(id);
    }
    at += ids.length;
  }
  return { files, missing };
}

/** The records with these ids, read when it is the turn of this call. */
export function getMany(
  { catalog }: FilesContext,
  ids: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, FileRecord>> {
  return readMany(signal, () => catalog.get([...new Set(ids)], { signal }));
}

/** The same record. Throws FILE_DELETED if the file is deleted. */
export function assertLive(file: FileRecord): FileRecord {
  if (file.deleteTime === undefined) return file;
  throw new AssetError('FILE_DELETED', 'the file is deleted: UndeleteFile brings it back while it is kept', {
    metadata: { file_id: file.id },
  });
}

/** Throws ETAG_MISMATCH if an etag is given and is not that of the record. */
export function assertEtag(file: FileRecord, etag: string): void {
  if (etag === '' || etag === file.revision) return;
  throw new AssetError('ETAG_MISMATCH', 'the file has changed since it was read: read it again and repeat', {
    metadata: { file_id: file.id },
  });
}
