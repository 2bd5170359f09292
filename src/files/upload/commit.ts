import { setTimeout as sleep } from 'node:timers/promises';
import type { FileRecord, NewFileRecord } from '../../catalog/file-catalog.ts';
import { isAssetError, type AssetError } from '../../errors/asset-error.ts';
import { concurrentChange } from '../../errors/records.ts';
import { requestIdReused } from '../../errors/uploads.ts';
import type { Caller } from '../../identity/caller.ts';
import { tryRemoveBlob } from '../bytes.ts';
import type { FilesContext } from '../context.ts';
import { assertManifest, confirmManifest } from '../datasets/admit.ts';
import { may, type GuardContext } from '../policy/guard.ts';
import type { Content, Hold, Uploaded } from './hold.ts';
import type { SlotOutcome } from './reservations.ts';

/** What the caller of an upload is told of its file. */
export interface Receipt extends Uploaded {
  /** False if the caller may not read the record: it is told the id alone. */
  readonly isReadable: boolean;
}

/**
 * Decides what the caller of an upload is told of its file. Whoever creates a record knows all of it; a record that was there
 * before may have another owner or usage by now, so today's policy decides.
 */
export function receiptFor(context: GuardContext, caller: Caller, uploaded: Uploaded): Receipt {
  const { file, isNew } = uploaded;
  return { ...uploaded, isReadable: isNew || may(context, caller, 'read', file.id, file) };
}

/**
 * Creates the record of an upload whose blob is assembled and verified, which makes it visible.
 *
 * @throws AssetError DATASET_INVALID, and what the catalog refuses
 */
export async function commit(
  context: FilesContext,
  caller: Caller,
  hold: Hold,
  content: Content,
  call: { readonly signal: AbortSignal },
): Promise<Uploaded> {
  const { description, caller: ids } = hold.facts;
  const described = { id: hold.fileId, usage: description.usage, contentType: content.contentType };
  await hold.check(() => assertManifest(context, caller, described, call.signal));
  await hold.tidy(call);
  const creator = { createdBy: ids.principal, createdFor: ids.endUser };
  let committed: Committed;
  try {
    committed = await create(context, hold, { ...description, id: hold.fileId, ...content, ...creator });
  } catch (error) {
    return hold.refused(error);
  }
  const { outcome, ...uploaded } = committed;
  await hold.committed(uploaded, outcome);
  await confirmManifest(context, uploaded.file);
  if (uploaded.isNew) context.variants?.uploaded(uploaded.file);
  return uploaded;
}

interface Committed extends Uploaded {
  readonly outcome: SlotOutcome;
}

/**
 * If another upload with the same request key was first, its file is returned and the bytes of this one are removed. If the
 * catalog fails without telling whether it wrote, it is asked; if it cannot be asked either, CATALOG_UNAVAILABLE is
 * thrown and the bytes stay for the sweeper.
 */
async function create(context: FilesContext, hold: Hold, record: NewFileRecord): Promise<Committed> {
  const { catalog } = context;
  const { requestKey } = hold.facts;
  let overQuota: AssetError | undefined;
  try {
    await hold.confirmRoom();
    const result = await catalog.create(record, {
      ...hold.fence,
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
  const earlier = requestKey && (await catalog.findByRequestKey(requestKey));
  if (!earlier) throw overQuota ?? concurrentChange();
  assertSameContent(earlier, record);
  // A call that finishes the same upload a second time must not remove what the first one committed.
  if (earlier.id === record.id) return { file: earlier, isNew: false, outcome: 'settled' };
  return { file: earlier, isNew: false, outcome: await tryRemoveBlob(context.store, record.id) };
}

/** Throws REQUEST_ID_REUSED unless the bytes are those of the file that the request id stands for. */
export function assertSameContent(
  earlier: FileRecord,
  actual: { readonly sizeBytes: number; readonly sha256: Uint8Array | undefined },
): void {
  if (earlier.sizeBytes === actual.sizeBytes && isSameHash(earlier.sha256, actual.sha256)) return;
  throw requestIdReused(earlier.id);
}

function isSameHash(one: Uint8Array | undefined, other: Uint8Array | undefined): boolean {
  return Buffer.compare(one ?? new Uint8Array(), other ?? new Uint8Array()) === 0;
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

/** True if the owner, usage and bytes of a file were kept as sent. What was sent empty, a catalog may fill. */
function isKept(record: NewFileRecord, file: FileRecord): boolean {
  const texts = ['contentType', 'owner', 'usage', 'createdBy', 'createdFor'] as const;
  return (
    texts.every((name) => record[name] === '' || file[name] === record[name]) &&
    file.sizeBytes === record.sizeBytes &&
    isSameHash(file.sha256, record.sha256)
  );
}
