import { setTimeout as sleep } from 'node:timers/promises';
import type { CreateFence, FileRecord, NewFileRecord } from '../../catalog/file-catalog.ts';
import { AssetError, isAssetError } from '../../errors/asset-error.ts';
import { concurrentChange } from '../../errors/records.ts';
import { tryRemoveBlob } from '../bytes.ts';
import type { FilesContext } from '../context.ts';
import type { Uploaded } from './receipt.ts';
import type { SlotOutcome } from './reservations.ts';

/** A file whose bytes are stored and verified, and whose record is still to be written. */
export interface StoredUpload {
  /** What the upload was promised its id by. */
  readonly fence: CreateFence;
  readonly requestKey: string | undefined;
  readonly record: NewFileRecord;
  /** Looks once more whether its owner has room; left out for a session, whose claim the catalog counts. */
  readonly confirmRoom?: () => Promise<void>;
}

/**
 * Writes the record of a stored file, which makes it visible. Throws QUOTA_EXCEEDED if its owner has too much by now.
 *
 * If another upload with the same request key was first, its file is returned and the bytes of this one are
 * removed. If the catalog fails without telling whether it wrote, it is asked; if it cannot
 * be asked either, CATALOG_UNAVAILABLE is thrown and the bytes are left to the sweeper.
 */
export async function commitUpload(
  context: FilesContext,
  upload: StoredUpload,
): Promise<Uploaded & { readonly outcome: SlotOutcome }> {
  const { fence, requestKey, record } = upload;
  let overQuota: AssetError | undefined;
  try {
    await upload.confirmRoom?.();
    const result = await context.catalog.create(record, {
      ...fence,
      ...(requestKey !== undefined && { requestKey }),
    });
    if (result.status === 'created') return { file: result.record, isNew: true, outcome: 'settled' };
  } catch (error) {
    if (isAssetError(error, 'CATALOG_UNAVAILABLE')) {
      return { file: await lookAgain(context, record, error), isNew: true, outcome: 'settled' };
    }
    if (requestKey === undefined || !isAssetError(error, 'QUOTA_EXCEEDED')) throw error;
    // The file that fills the quota may be the one of this very request.
    overQuota = error;
  }
  const earlier = requestKey && (await context.catalog.findByRequestKey(requestKey));
  if (!earlier) {
    if (overQuota) throw overQuota;
    throw concurrentChange();
  }
  assertSameContent(earlier, record);
  // A call that finishes the same upload a second time must not remove what the first one committed.
  if (earlier.id === record.id) return { file: earlier, isNew: false, outcome: 'settled' };
  const outcome = await tryRemoveBlob(context.store, record.id);
  return { file: earlier, isNew: false, outcome };
}

/** Throws REQUEST_ID_REUSED unless the bytes are those of the file that the request id stands for. */
export function assertSameContent(
  earlier: FileRecord,
  actual: { readonly sizeBytes: number; readonly sha256: Uint8Array | undefined },
): void {
  const same =
    earlier.sizeBytes === actual.sizeBytes &&
    Buffer.compare(earlier.sha256 ?? new Uint8Array(), actual.sha256 ?? new Uint8Array()) === 0;
  if (same) return;
  throw new AssetError(
    'REQUEST_ID_REUSED',
    'this request_id was used for an upload with other content: use a new id for a new upload',
    { metadata: { file_id: earlier.id } },
  );
}

/** The record, if a commit that failed without an answer wrote it after all, with everything that matters in it. */
async function lookAgain(
  context: FilesContext,
  record: NewFileRecord,
  error: AssetError,
): Promise<FileRecord> {
  for (const waitMs of [50, 250, 1000]) {
    await sleep(waitMs);
    const found = await context.catalog.get([record.id]).catch(() => undefined);
    const file = found?.get(record.id);
    if (file && isKept(record, file)) return file;
  }
  throw error;
}

/** True if whose a file is and what its bytes are was kept as it was sent. What was sent empty, a catalog may fill. */
function isKept(record: NewFileRecord, file: FileRecord): boolean {
  const texts = ['contentType', 'owner', 'usage', 'createdBy', 'createdFor'] as const;
  return (
    texts.every((name) => record[name] === '' || file[name] === record[name]) &&
    file.sizeBytes === record.sizeBytes &&
    Buffer.compare(file.sha256 ?? new Uint8Array(), record.sha256 ?? new Uint8Array()) === 0
  );
}
