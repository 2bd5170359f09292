import type { Readable } from 'node:stream';
import type { FileRecord } from '../catalog/file-catalog.ts';
import { AssetError } from '../errors/asset-error.ts';
import { permissionDenied } from '../errors/callers.ts';
import { fileNotFound, readOffsetOutOfRange } from '../errors/records.ts';
import type { FileBytes } from './bytes.ts';
import type { Caller } from '../identity/caller.ts';
import type { FilesContext } from './context.ts';
import { grantId, recordGrant } from './grants.ts';
import { cleanName } from './names.ts';
import { bytesOf, lookUp, noteUse, type FileName } from './old-files.ts';
import type { FileAction } from './policy/decide.ts';
import { authorize, tell, verdictOn } from './policy/guard.ts';
import { dispositionOf, mayShowInline, servedType } from './serving.ts';

/** What a caller wants a URL for. */
export interface FileUrlRequest extends FileName {
  /** Lifetime in whole seconds, which the usage bounds; undefined for that of the usage. */
  readonly ttlSeconds: number | undefined;
  /** True to let a browser show the file where its type is safe. */
  readonly inline: boolean;
  /** Name to save the file under; the file's own where empty. */
  readonly downloadName: string;
}

/** A URL of a file's bytes. */
export interface FileUrl {
  readonly url: string;
  readonly expireTime: Date;
  readonly contentType: string;
  readonly sizeBytes: number;
}

/** The record of a file, deleted or not. Throws PERMISSION_DENIED or FILE_NOT_FOUND. */
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

/** Signs a URL for one file. Throws PERMISSION_DENIED, FILE_NOT_FOUND, FILE_DELETED, DISPOSITION_NOT_ALLOWED. */
export async function fileUrl(
  context: FilesContext,
  caller: Caller,
  request: FileUrlRequest,
  signal: AbortSignal,
): Promise<FileUrl> {
  return urlFor(context, caller, await lookUp(context, request, signal), request, signal);
}

/**
 * Opens a file's bytes.
 *
 * @param offset - first byte; the size of the file is allowed and reads nothing
 * @param limit - greatest number of bytes; 0 for all
 * @returns the record, and the bytes unless there are none to read
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

/**
 * Signs a URL for a file whose record was read. What lets the caller read the file is taken down with the grant, and alone
 * if nothing does.
 *
 * @throws AssetError PERMISSION_DENIED, FILE_NOT_FOUND, FILE_DELETED, DISPOSITION_NOT_ALLOWED, FILE_NOT_MOVED, BLOB_MISSING
 */
export async function urlFor(
  context: FilesContext,
  caller: Caller,
  file: FileRecord | undefined,
  request: FileUrlRequest,
  signal: AbortSignal,
): Promise<FileUrl> {
  const verdict = verdictOn(context, caller, 'read', file);
  if (!verdict.allowed) {
    tell(context, caller, 'read', file?.id ?? request.fileId, verdict);
    throw permissionDenied('read');
  }
  if (file === undefined) throw fileNotFound(request.fileId);
  noteUse(context, caller, request);
  const bytes = await bytesOf(context, assertLive(file), signal);
  return signFor(context, caller, { file, bytes }, request, verdict.rule);
}

/**
 * The URL starts to live at the beginning of a window of half its ttl, so that all calls of one window
 * get the same URL. A cache may keep the answer for what is left at least: the other half.
 */
async function signFor(
  context: FilesContext,
  caller: Caller,
  { file, bytes }: { readonly file: FileRecord; readonly bytes: FileBytes },
  request: FileUrlRequest,
  why: string,
): Promise<FileUrl> {
  const policy = context.policies.ofExisting(file.usage);
  if (request.inline && policy.disposition === 'attachment') throw attachmentOnly(file.usage);
  const { min, max, default: usual } = policy.urlLifetimeSeconds;
  const ttlSeconds = Math.min(Math.max(request.ttlSeconds ?? usual, min), max);
  const windowSeconds = Math.max(1, Math.floor(ttlSeconds / 2));
  const issued = Math.floor(bytes.now().getTime() / 1000 / windowSeconds) * windowSeconds;
  const inline = request.inline && mayShowInline(file.contentType);
  const contentType = servedType(bytes.contentType ?? file.contentType);
  const downloadName = cleanName(request.downloadName, 'download_name');
  const contentDisposition = dispositionOf(inline, [downloadName, file.name, file.id]);
  const id = grantId([file.id, issued, ttlSeconds, contentType, contentDisposition]);
  const { url, expireTime } = await bytes.signUrl({
    issuedAt: new Date(issued * 1000),
    ttlSeconds,
    contentType,
    contentDisposition,
    cacheControl: `max-age=${ttlSeconds - windowSeconds}, immutable`,
    grantId: id,
  });
  const facts = { disposition: inline ? 'inline' : 'attachment' };
  recordGrant(context, caller, { id, of: { fileId: file.id }, expireTime, why, facts });
  return {
    url,
    expireTime,
    contentType,
    sizeBytes: bytes.sizeBytes,
  };
}

function attachmentOnly(usage: string): AssetError {
  return new AssetError(
    'DISPOSITION_NOT_ALLOWED',
    `files of usage "${usage}" may only be saved: ask for an attachment`,
    { metadata: { usage } },
  );
}

/** The record, if the file is not deleted. Throws FILE_DELETED. */
export function assertLive(file: FileRecord): FileRecord {
  if (file.deleteTime === undefined) return file;
  throw new AssetError('FILE_DELETED', 'the file is deleted: UndeleteFile brings it back while it is kept', {
    metadata: { file_id: file.id },
  });
}
