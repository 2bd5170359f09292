import type { FileChange, FileDescription, FileRecord } from '../catalog/file-catalog.ts';
import { isAssetError } from '../errors/asset-error.ts';
import { contentTypeMismatch } from '../errors/records.ts';
import type { Caller } from '../identity/caller.ts';
import { allowedContentType, readHead, readHeadOf } from './content-type/content-type.ts';
import type { FilesContext } from './context.ts';
import { assertSameKind } from './datasets/admit.ts';
import type { QuotaHold } from './quota.ts';
import { afterChange, assertFits } from './description.ts';
import { bytesOf } from './old-files.ts';
import { cleanContentType } from './content-type/media-types.ts';
import { cleanName } from './names.ts';
import { authorizeChange } from './policy/guard.ts';
import { assertEtag, assertLive, fileFor } from './records.ts';
import { reached } from '../system/crash-points.ts';
import { changeFromMask } from './update-mask.ts';

/** A change of a record. */
export interface UpdateRequest {
  readonly fileId: string;
  /** Revision that the change is for; empty for any. */
  readonly etag: string;
  readonly wanted: FileDescription;
  /** Paths of the update mask; empty for every field of `wanted` that is not empty. */
  readonly paths: readonly string[];
}

/**
 * Changes the record of a file.
 *
 * @throws AssetError PERMISSION_DENIED, FILE_NOT_FOUND, FILE_DELETED, ETAG_MISMATCH, CONCURRENT_CHANGE, FIELD_UNKNOWN,
 *   FIELD_NOT_WRITABLE, and what the usage policy or the catalog refuses
 */
export async function updateMetadata(
  context: FilesContext,
  caller: Caller,
  request: UpdateRequest,
  signal: AbortSignal,
): Promise<FileRecord> {
  const file = assertLive(await fileFor(context, caller, 'update', request.fileId, signal));
  assertEtag(file, request.etag);
  const change = cleanChange(file, changeFromMask(file, request.wanted, request.paths));
  if (Object.keys(change).length === 0) return file;
  assertFits(afterChange(file, change), file);
  assertSameKind(file, change);
  authorizeChange(context, caller, file, change);
  const contentType = await allowedType(context, file, change, signal);
  using _quota = await holdChange(context, file, change, signal);
  reached('update.read');
  const updated = await context.catalog.update(
    file.id,
    file.revision,
    contentType === undefined ? change : { ...change, contentType },
    { signal },
  );
  reached('update.written');
  return updated;
}

/** Room for the file in the quotas of its new owner or usage; undefined if neither changes. */
async function holdChange(
  context: FilesContext,
  file: FileRecord,
  { owner = file.owner, usage = file.usage }: FileChange,
  signal: AbortSignal,
): Promise<QuotaHold | undefined> {
  if (owner === file.owner && usage === file.usage) return undefined;
  const { sizeBytes } = file;
  const wanted = owner === file.owner ? ({ sizeBytes, counted: 'owner' } as const) : { sizeBytes };
  return context.quotas.hold(context, { owner, usage }, wanted, signal);
}

/** Cleans a new name and type. Those of files older than the service may be invalid and stay as they are. */
function cleanChange(file: FileRecord, change: FileChange): FileChange {
  const { name = file.name, contentType = file.contentType } = change;
  return {
    ...change,
    ...(name !== file.name && { name: cleanName(name, 'file.name') }),
    ...(contentType !== file.contentType && {
      contentType: cleanContentType(contentType, 'file.content_type'),
    }),
  };
}

/**
 * Checks a new usage or type by the rules for uploads, with the stored bytes.
 *
 * @returns the type to store; undefined if it stays
 */
async function allowedType(
  context: FilesContext,
  file: FileRecord,
  change: Partial<FileDescription>,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (change.usage === undefined && change.contentType === undefined) return undefined;
  const usage = change.usage ?? file.usage;
  const rules = context.policies.rulesOf(usage);
  rules.checkSize(file.sizeBytes);
  const { name = file.name, contentType = file.contentType } = change;
  const isChanged = contentType !== file.contentType;
  if (!isChanged && !rules.restrictsTypes) return undefined;
  const head = await headOfStored(context, file, signal);
  const decided = await allowedContentType(rules, { contentType, name }, head);
  if (isChanged && file.sha256 === undefined)
    await assertOldType(context, { ...file, contentType: decided }, signal);
  return decided === file.contentType && !isChanged ? undefined : decided;
}

/** The first bytes of a file; empty if the file cannot be read. */
async function headOfStored(
  context: FilesContext,
  file: FileRecord,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if (file.sha256 !== undefined) {
    return file.sizeBytes > 0 ? readHead(context.store, file.id, signal) : new Uint8Array();
  }
  try {
    const bytes = await bytesOf(context, file, signal);
    return bytes.sizeBytes > 0 ? await readHeadOf(bytes, signal) : new Uint8Array();
  } catch (error) {
    if (isAssetError(error, 'FILE_NOT_MOVED', 'BLOB_MISSING')) return new Uint8Array();
    throw error;
  }
}

/** Refuses a type that contradicts the one with which an old file's object is stored: the file would become unreadable. */
async function assertOldType(
  { oldFiles }: FilesContext,
  file: FileRecord,
  signal: AbortSignal,
): Promise<void> {
  if (!(await oldFiles?.contradictsType(file, signal))) return;
  throw contentTypeMismatch(file.contentType, { fileId: file.id });
}
