import type { FileRecord } from '../../catalog/file-catalog.ts';
import { isAssetError } from '../../errors/asset-error.ts';
import { reached } from '../../system/crash-points.ts';
import { blobKey, removeBytes, spareBlobs } from '../bytes.ts';
import type { Caller } from '../../identity/caller.ts';
import { assertSameContent, commitUpload } from './commit.ts';
import { allowedContentType } from '../content-type/content-type.ts';
import type { FilesContext } from '../context.ts';
import { Digest, verifyChecksums } from './digest.ts';
import type { QuotaHold } from '../quota.ts';
import { receiptFor, type Receipt, type Uploaded } from './receipt.ts';
import type { ReservedId, SlotOutcome } from './reservations.ts';
import { FileScan } from './scan.ts';
import type { UploadContent } from './chunk.ts';
import { Inflow } from './inflow.ts';
import { admitFile, memoryOf, takeRoom, type Intake, type NewFile } from './intake.ts';
import { storeBlob } from './store-blob.ts';

/** Up to this size a file is stored as fast as the catalog tells whether it was stored before. */
const SMALL_BYTES = 256 * 1024;

/** A file that comes in one call. */
export interface Upload extends NewFile {
  readonly content: UploadContent;
}

/**
 * Stores a file: exactly one, or nothing.
 *
 * The bytes go once through counting, hashing and type detection into the store. The record is committed
 * last, so the file is visible only when its bytes are durable and verified.
 *
 * @param signal - ends the upload, with nothing stored, until the record is being committed
 * @throws AssetError PERMISSION_DENIED, and what the usage policy, the store or the catalog refuses
 */
export async function uploadFile(
  context: FilesContext,
  caller: Caller,
  wanted: Upload,
  signal: AbortSignal,
): Promise<Receipt> {
  using _slot = context.admission.enter();
  const intake = admitFile(context, caller, wanted);
  const { sizeBytes, rules, requestKey: key } = intake;
  const digest = new Digest();
  let quota: QuotaHold | undefined;
  const admit = (bytes: number) => {
    rules.checkSize(bytes);
    return quota?.grow(bytes);
  };
  const inflow = new Inflow(wanted.content, { sizeBytes, isWhole: true, admit, hash: digest, signal });
  try {
    const find = (by: string) => context.catalog.findByRequestKey(by, { signal });
    // The commit finds an earlier upload too; to look before spares a repeated one its bytes, which pays if they are many.
    const isLarge = (sizeBytes ?? Infinity) > SMALL_BYTES;
    let earlier = key !== undefined && isLarge ? await find(key) : undefined;
    if (earlier === undefined) {
      const taken = await takeRoom(context, intake, {}, find, signal);
      if ('room' in taken) quota = taken.room;
      else earlier = taken.earlier;
    }
    const uploaded = earlier
      ? await repeatOf(earlier, inflow, digest)
      : await storeNew(context, intake, { inflow, digest, quota: quota! }, signal);
    return receiptFor(context, caller, uploaded);
  } finally {
    quota?.[Symbol.dispose]();
    // Cuts off a caller that goes on sending after the upload has failed.
    inflow.close();
  }
}

/** Answers an upload that was made before: the same content gets the same file. */
async function repeatOf(earlier: FileRecord, inflow: Inflow, digest: Digest): Promise<Uploaded> {
  await inflow.drain();
  const actual = digest.finish();
  verifyChecksums(actual, inflow.end.expected);
  assertSameContent(earlier, actual);
  return { file: earlier, isNew: false };
}

/** The bytes of an upload, what sums them up, and the room that they have. */
interface Incoming {
  readonly inflow: Inflow;
  readonly digest: Digest;
  readonly quota: QuotaHold;
}

async function storeNew(
  context: FilesContext,
  intake: Intake,
  { inflow, digest, quota }: Incoming,
  signal: AbortSignal,
): Promise<Uploaded> {
  const { store, uploads } = context;
  const { caller, description, sizeBytes } = intake;
  using scan = new FileScan(context, signal);
  inflow.scan = scan;
  let reserved: ReservedId | undefined;
  let contentType = '';
  let checksums: ReturnType<Digest['finish']> | undefined;
  let left: 'nothing' | 'something' | 'all' = 'nothing';
  let isMine = true;
  try {
    const stored = await storeBlob(inflow, {
      ...{ store, sizeBytes, signal, memory: memoryOf(context, caller), spare: spareBlobs(context) },
      ...{ partSizeBytes: uploads.partSizeBytes, concurrency: uploads.concurrency },
      begin: async () => {
        contentType = await allowedContentType(intake.rules, description, await inflow.head());
        reserved = await context.reservations.take();
        reached('upload.reserved');
        return { key: blobKey(reserved.fileId), contentType };
      },
      onSend: () => (left = 'something'),
      verify: async () => {
        checksums = digest.finish();
        verifyChecksums(checksums, inflow.end.expected);
        await scan.assertClean();
        reached('upload.verified');
      },
    });
    left = 'all';
    reached('upload.stored');
    isMine = stored.status === 'created';
    if (!isMine) throw new Error('a blob lies under the id of a new file');
    signal.throwIfAborted();
    const { fileId, reservationId } = reserved!;
    // To begin a blob of several parts may have taken two tries; nobody knows what one whose answer was lost began.
    const isTidy = !stored.inParts || (await removeBytes(store, fileId, { unfinished: true }).then(yes, no));
    const { outcome, ...uploaded } = await commitUpload(context, {
      fence: { reservationId },
      requestKey: intake.requestKey,
      confirmRoom: () => quota.confirm(),
      record: {
        ...{ ...description, id: fileId, contentType, ...checksums! },
        ...{ createdBy: caller.principal.id, createdFor: caller.endUser?.id ?? '' },
      },
    });
    reached('upload.committed');
    reserved!.release(isTidy ? outcome : 'unsettled');
    return uploaded;
  } catch (error) {
    if (reserved !== undefined) {
      const cleaned = isMine
        ? discard(context, reserved.fileId, left, error)
        : Promise.resolve('unsettled' as const);
      const released = cleaned.then((outcome) => reserved!.release(outcome));
      // Nobody waits for the answer of a call that is over, and a store that hangs must not keep its place.
      if (!signal.aborted) await released;
    }
    throw error;
  }
}

const yes = () => true;
const no = () => false;

/**
 * Removes what a failed upload stored. What cannot be removed, or may still be on its way to the
 * store, is left to the sweeper.
 */
async function discard(
  context: FilesContext,
  fileId: string,
  left: 'nothing' | 'something' | 'all',
  error: unknown,
): Promise<SlotOutcome> {
  if (left === 'nothing') return 'settled';
  // After a commit whose outcome is unknown the file may exist: its blob must not be touched.
  const isRefused = isAssetError(error) && !isAssetError(error, 'CATALOG_UNAVAILABLE');
  if (left === 'all' && !isRefused) return 'unsettled';
  try {
    await removeBytes(context.store, fileId, { blob: true });
    return left === 'all' ? 'settled' : 'unsettled';
  } catch (cause) {
    context.log.warn({ err: cause, fileId }, 'a failed upload could not be cleaned up; the sweeper will');
    return 'unsettled';
  }
}
