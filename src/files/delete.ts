import type { FileRecord } from '../catalog/file-catalog.ts';
import { AssetError } from '../errors/asset-error.ts';
import type { Caller } from '../identity/caller.ts';
import type { FilesContext } from './context.ts';
import { assertManifest, assertNotPinned, confirmManifest } from './datasets/admit.ts';
import { assertEtag, assertLive, fileFor } from './records.ts';
import { reached } from '../system/crash-points.ts';

/**
 * Deletes a file softly: it stays until the retention of its usage is over.
 *
 * @throws AssetError PERMISSION_DENIED, FILE_NOT_FOUND, FILE_DELETED, FILE_PINNED, ETAG_MISMATCH, CONCURRENT_CHANGE
 */
export async function deleteFile(
  context: FilesContext,
  caller: Caller,
  fileId: string,
  etag: string,
  signal: AbortSignal,
): Promise<FileRecord> {
  const file = assertLive(await fileFor(context, caller, 'delete', fileId, signal));
  assertEtag(file, etag);
  await assertNotPinned(context, caller, file.id, signal);
  const deleteTime = new Date();
  const purgeTime = new Date(deleteTime.getTime() + context.policies.retentionSeconds(file.usage) * 1000);
  const deleted = await context.catalog.update(file.id, file.revision, { deleteTime, purgeTime }, { signal });
  reached('delete.written');
  return deleted;
}

/**
 * Brings a softly deleted file back. A dataset manifest comes back only while all its files are there.
 *
 * @throws AssetError PERMISSION_DENIED, FILE_NOT_FOUND, FILE_NOT_DELETED, DATASET_INVALID, ETAG_MISMATCH, CONCURRENT_CHANGE
 */
export async function undeleteFile(
  context: FilesContext,
  caller: Caller,
  fileId: string,
  etag: string,
  signal: AbortSignal,
): Promise<FileRecord> {
  const file = await fileFor(context, caller, 'delete', fileId, signal);
  if (file.deleteTime === undefined) {
    throw new AssetError('FILE_NOT_DELETED', 'the file is not deleted: there is nothing to bring back', {
      metadata: { file_id: fileId },
    });
  }
  assertEtag(file, etag);
  await assertManifest(context, undefined, file, signal);
  const change = { deleteTime: null, purgeTime: null };
  const restored = await context.catalog.update(file.id, file.revision, change, { signal });
  await confirmManifest(context, restored);
  return restored;
}
