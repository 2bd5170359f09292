import type { FileDescription, FileRecord } from '../catalog/file-catalog.ts';
import { AssetError, isAssetError } from '../errors.ts';
import { firstPartBytes, writeBlob, type WriteBlobOptions } from '../storage/write-blob.ts';
import { callerIds, callerKey, type Caller } from '../identity/caller.ts';
import { assertSameContent, commitUpload } from './commit.ts';
import { allowedContentType } from './content-type.ts';
import type { FilesContext } from './context.ts';
import { Digest, verifyChecksums, type ExpectedChecksums } from './digest.ts';
import { peek } from './head.ts';
import { blobKey, requestKey } from './ids.ts';
import { cleanDescription } from './names.ts';
import { authorizeUpload } from './policy/guard.ts';
import type { QuotaHold } from './quota.ts';
import { receiptFor, type Receipt, type Uploaded } from './receipt.ts';
import type { SlotOutcome } from './reservations.ts';
import { assertScannable, FileScan } from './scan.ts';
import { reached } from '../points.ts';

/** Up to this size a file is stored as fast as the catalog tells whether it was stored before. */
const SMALL_BYTES = 256 * 1024;

/** A file that a caller wants to store. */
export interface Upload {
  /** How the caller describes it; an empty content type is found out. */
  readonly description: FileDescription;
  /** Size that the caller gave, in bytes. */
  readonly sizeBytes: number | undefined;
  /** Empty if the upload may not be known again. */
  readonly requestId: string;
  /**
   * The bytes. It throws whatever ends the upload early, so that a source which ends without
   * throwing is complete. It is asked for the next bytes only when there is room for them.
   */
  readonly content: AsyncIterable<Uint8Array>;
  /** Checksums of the whole file that the caller gave. Asked for after `content` has ended. */
  readonly expected: () => ExpectedChecksums;
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
  const description = cleanDescription(authorizeUpload(context, caller, wanted.description));
  const upload = { ...wanted, description };
  context.policies.checkSize(description.usage, upload.sizeBytes ?? 0);
  assertScannable(context, upload.sizeBytes ?? 0);

  const key = requestKey(caller, upload.requestId);
  const digest = new Digest();
  let quota: QuotaHold | undefined;
  const content = checked(context, upload, digest, signal, () => quota);
  try {
    // The commit finds an earlier upload too; to look before spares a repeated one its bytes, which pays if they are many.
    const isLarge = (upload.sizeBytes ?? Infinity) > SMALL_BYTES;
    let earlier = key && isLarge && (await context.catalog.findByRequestKey(key, { signal }));
    if (!earlier) {
      try {
        const wanted = { sizeBytes: upload.sizeBytes ?? 0 };
        quota = await context.quotas.hold(context, upload.description, wanted, signal);
      } catch (error) {
        // The file that fills the quota may be the one of this very request.
        if (key === undefined || !isAssetError(error, 'QUOTA_EXCEEDED')) throw error;
        earlier = await context.catalog.findByRequestKey(key, { signal });
        if (!earlier) throw error;
      }
    }
    const uploaded = earlier
      ? await repeatOf(earlier, upload, digest, content)
      : await storeNew(context, caller, { ...upload, quota: quota! }, key, digest, content, signal);
    return receiptFor(context, caller, uploaded);
  } finally {
    quota?.[Symbol.dispose]();
    // Cuts off a caller that goes on sending after the upload has failed. Not awaited: it answers only
    // when the caller sends again or goes away.
    void content.return(undefined).catch(() => undefined);
  }
}

/** An upload that has room in its owner's quota. */
type AdmittedUpload = Upload & { readonly quota: QuotaHold };

async function storeNew(
  context: FilesContext,
  caller: Caller,
  upload: AdmittedUpload,
  key: string | undefined,
  digest: Digest,
  content: AsyncGenerator<Uint8Array, undefined>,
  signal: AbortSignal,
): Promise<Uploaded> {
  const writing = {
    ...(upload.sizeBytes !== undefined && { sizeBytes: upload.sizeBytes }),
    partSizeBytes: context.uploads.partSizeBytes,
    concurrency: context.uploads.concurrency,
    budget: context.budget.of(callerKey(callerIds(caller))),
    signal,
  };
  // Taken before the first byte is read, so that uploads which wait for memory hold none.
  const firstPart = await writing.budget.reserve(firstPartBytes(context.store, writing), signal);
  try {
    const seen = await peek(content, (head) =>
      allowedContentType(context.policies, upload.description, head),
    );
    const options = { ...writing, contentType: seen.result, firstPart };
    return await storeContent(context, caller, upload, key, digest, seen.content, options);
  } finally {
    firstPart();
  }
}

async function storeContent(
  context: FilesContext,
  caller: Caller,
  upload: AdmittedUpload,
  key: string | undefined,
  digest: Digest,
  content: AsyncIterable<Uint8Array>,
  writing: WriteBlobOptions & { readonly signal: AbortSignal },
): Promise<Uploaded> {
  const { signal, contentType } = writing;
  const reserved = await context.reservations.take();
  reached('upload.reserved');
  using scan = new FileScan(context, signal);
  let stored = false;
  let mine = true;
  try {
    const written = await writeBlob(context.store, blobKey(reserved.fileId), scan.through(content), writing);
    stored = true;
    reached('upload.stored');
    mine = written.status === 'created';
    if (!mine) throw new Error('a blob lies under the id of a new file');
    signal.throwIfAborted();
    const { sha256, crc32c, sizeBytes } = digest.finish();
    verifyChecksums({ sha256, crc32c }, upload.expected());
    await scan.assertClean();
    const inParts = written.sizeBytes > firstPartBytes(context.store, writing);
    const isTidy = !inParts || (await dropUnfinished(context, reserved.fileId));
    reached('upload.verified');
    const { outcome, ...uploaded } = await commitUpload(context, {
      fence: { reservationId: reserved.reservationId },
      requestKey: key,
      confirmRoom: () => upload.quota.confirm(),
      record: {
        ...upload.description,
        id: reserved.fileId,
        contentType,
        sizeBytes,
        sha256,
        crc32c,
        createdBy: caller.principal.id,
        createdFor: caller.endUser?.id ?? '',
      },
    });
    reached('upload.committed');
    reserved.release(isTidy ? outcome : 'unsettled');
    return uploaded;
  } catch (error) {
    const cleaned = mine
      ? discard(context, reserved.fileId, stored, error)
      : Promise.resolve('unsettled' as const);
    const released = cleaned.then((outcome) => reserved.release(outcome));
    // Nobody waits for the answer of a call that is over, and a store that hangs must not keep its place.
    if (!signal.aborted) await released;
    throw error;
  }
}

/**
 * To begin a blob of several parts may have taken two tries; if the answer to the first was lost, nobody knows what it
 * began. Removes that.
 *
 * @returns false if it could not be done now
 */
function dropUnfinished(context: FilesContext, fileId: string): Promise<boolean> {
  return context.store.abortMultiparts(blobKey(fileId), { signal: AbortSignal.timeout(10_000) }).then(
    () => true,
    () => false,
  );
}

/**
 * Removes what a failed upload stored. What cannot be removed, or may still be on its way to the
 * store, is left to the sweeper.
 */
async function discard(
  context: FilesContext,
  fileId: string,
  stored: boolean,
  error: unknown,
): Promise<SlotOutcome> {
  // After a commit whose outcome is unknown the file may exist: its blob must not be touched.
  const refused = isAssetError(error) && !isAssetError(error, 'CATALOG_UNAVAILABLE');
  if (stored && !refused) return 'unsettled';
  try {
    await context.store.delete(blobKey(fileId), { signal: AbortSignal.timeout(10_000) });
    return stored ? 'settled' : 'unsettled';
  } catch (cause) {
    context.log.warn({ err: cause, fileId }, 'a failed upload could not be cleaned up; the sweeper will');
    return 'unsettled';
  }
}

/** Answers an upload that was made before: the same content gets the same file. */
async function repeatOf(
  earlier: FileRecord,
  upload: Upload,
  digest: Digest,
  content: AsyncIterable<Uint8Array>,
): Promise<Uploaded> {
  for await (const _chunk of content);
  const actual = digest.finish();
  verifyChecksums(actual, upload.expected());
  assertSameContent(earlier, actual);
  return { file: earlier, isNew: false };
}

/** The content, counted, hashed and held to its size. */
async function* checked(
  context: FilesContext,
  upload: Upload,
  digest: Digest,
  signal: AbortSignal,
  quota: () => QuotaHold | undefined,
): AsyncGenerator<Uint8Array, undefined> {
  const { sizeBytes, description } = upload;
  for await (const chunk of upload.content) {
    signal.throwIfAborted();
    if (chunk.byteLength === 0) continue;
    digest.update(chunk);
    if (sizeBytes !== undefined && digest.sizeBytes > sizeBytes) throw wrongSize(sizeBytes, 'more');
    context.policies.checkSize(description.usage, digest.sizeBytes);
    await quota()?.grow(digest.sizeBytes);
    yield chunk;
  }
  if (sizeBytes !== undefined && digest.sizeBytes < sizeBytes) {
    throw wrongSize(sizeBytes, `only ${digest.sizeBytes}`);
  }
  return undefined;
}

function wrongSize(sizeBytes: number, came: string): AssetError {
  return new AssetError(
    'SIZE_MISMATCH',
    `size_bytes says ${sizeBytes}, but ${came} came: nothing was stored, send the true size or leave it out`,
    { metadata: { size_bytes: String(sizeBytes) } },
  );
}
