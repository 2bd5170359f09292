import { isAssetError } from '../../errors/asset-error.ts';
import { sizeMismatch, uploadExpired } from '../../errors/uploads.ts';
import type { BlobBody, BlobPart } from '../../storage/blob.ts';
import { blobKey, readBytes, removeBytes, sizeOfBytes } from '../bytes.ts';
import { commitUpload } from './commit.ts';
import type { FilesContext } from '../context.ts';
import { digestOf, verifyChecksums } from './digest.ts';
import type { ExpectedChecksums } from './chunk.ts';
import type { ContentRules } from '../policy/usage-policies.ts';
import type { Uploaded } from './receipt.ts';
import { FileScan } from './scan.ts';
import type { PartWriter } from './part-writer.ts';
import {
  abandonIfRefused,
  abandonSession,
  pieceRevisions,
  removeIfGone,
  saveSession,
  type SessionOrFile,
} from './session-store.ts';
import {
  addExpected,
  NO_PARTS,
  persistedSize,
  withPart,
  type Finished,
  type Session,
  type SessionState,
} from './session-state.ts';
import { reached } from '../../system/crash-points.ts';

/**
 * Makes a file of an upload whose last bytes a writer holds.
 *
 * Everything is verified before the blob is put together, and what it will have is written down first. So a
 * crash at any point is finished by the next call, and what was refused was never a blob.
 *
 * @throws AssetError SIZE_MISMATCH, CHECKSUM_MISMATCH, CONTENT_TYPE_MISMATCH and the like; the session is gone then
 */
export async function finishSession(
  context: FilesContext,
  writer: PartWriter,
  rules: ContentRules,
  given: ExpectedChecksums,
  signal: AbortSignal,
): Promise<Uploaded> {
  const state = await writer.flush();
  const { whole } = writer;
  let verified: SessionState;
  try {
    const expected = addExpected(state, given);
    const finishing: Finished = {
      sizeBytes: whole ? whole.open.sizeBytes : persistedSize({ state }),
      ...writer.digest(),
      contentType: state.contentType ?? (await writer.typeOf(whole!.open, signal)),
    };
    assertExpected(rules, { ...state, expected }, finishing);
    verified = { ...state, expected, finishing };
  } catch (error) {
    await abandonIfRefused(context, writer.session, error);
    throw error;
  }
  const session = await saveSession(context, writer.session, verified);
  reached('session.finishing');
  signal.throwIfAborted();
  if (whole) await putWhole(context, session, whole, signal);
  else await completeParts(context, session, signal, writer.sent);
  await assertClean(context, session, whole?.open.body({ signal }).chunks, signal);
  return commitSession(context, session, verified.finishing!, signal);
}

/**
 * Goes on with a session that ended while it was being finished: its blob becomes a file now. A session of which
 * the last bytes were lost with the process goes back to where it stood before.
 */
export async function finishStored(
  context: FilesContext,
  session: Session,
  signal: AbortSignal,
): Promise<SessionOrFile> {
  const { finishing, multipartId } = session.state;
  if (finishing === undefined) return { session };
  const stored = await sizeOfBytes(context.store, session.id, { signal });
  if (stored === undefined && multipartId === undefined) {
    const { finishing: _lost, ...before } = session.state;
    return { session: await saveSession(context, session, before) };
  }
  if (stored === undefined) await completeParts(context, session, signal);
  await assertClean(context, session, undefined, signal);
  return commitSession(context, session, finishing, signal);
}

/**
 * Scans the whole file of a session, which came in pieces and maybe to several processes. Its blob is read for that
 * unless its bytes are in memory. One with malware is gone then; one that cannot be scanned now stays, and the next call
 * that finishes it scans it.
 *
 * @throws AssetError MALWARE_FOUND, SCANNER_UNAVAILABLE, FILE_TOO_LARGE
 */
async function assertClean(
  context: FilesContext,
  session: Session,
  body: BlobBody['chunks'] | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (context.scanning === undefined) return;
  using scan = new FileScan(context, signal);
  try {
    const content = body ?? (await readBlob(context, session, signal));
    for await (const chunk of content) await scan.show(chunk);
    await scan.assertClean();
  } catch (error) {
    await abandonIfRefused(context, session, error);
    throw error;
  }
}

/** Creates the record of a session whose blob is stored, verified and clean. */
export async function commitSession(
  context: FilesContext,
  session: Session,
  finished: Finished,
  signal: AbortSignal,
): Promise<Uploaded> {
  reached('session.assembled');
  // The record takes the place of the session, and with it goes the list of what else to remove.
  const pieces = pieceRevisions(session);
  await removeBytes(context.store, session.id, { pieces, unfinished: true }, { signal });
  reached('session.pieces-removed');
  const { description, caller, requestKey } = session.state;
  const { sizeBytes, crc32c, contentType } = finished;
  const sha256 = Buffer.from(finished.sha256, 'hex');
  try {
    const { file, isNew } = await commitUpload(context, {
      fence: { upload: { revision: session.revision } },
      requestKey,
      record: {
        ...description,
        id: session.id,
        contentType,
        sizeBytes,
        sha256,
        crc32c,
        createdBy: caller.principal,
        createdFor: caller.endUser,
      },
    });
    reached('session.committed');
    if (file.id !== session.id) await abandonSession(context, session);
    return { file, isNew };
  } catch (error) {
    return resolveFailedCommit(context, session, error);
  }
}

/** Of two calls that finish the same upload one commits; the other finds its file. */
async function resolveFailedCommit(
  context: FilesContext,
  session: Session,
  error: unknown,
): Promise<Uploaded> {
  if (isAssetError(error, 'UPLOAD_EXPIRED')) {
    const file = (await context.catalog.get([session.id])).get(session.id);
    if (file !== undefined) return { file, isNew: false };
    await removeIfGone(context, session);
  } else if (isAssetError(error) && !isAssetError(error, 'CATALOG_UNAVAILABLE', 'CONCURRENT_CHANGE')) {
    // What the catalog refuses stores no blob either. These two may go better with the next try.
    await abandonSession(context, session);
  }
  throw error;
}

/**
 * Holds a whole file to what the caller said of it.
 *
 * @throws AssetError SIZE_MISMATCH, CHECKSUM_MISMATCH, and what the usage policy refuses
 */
export function assertExpected(rules: ContentRules, state: SessionState, finished: Finished): void {
  const { sizeBytes, expected } = state;
  if (sizeBytes !== undefined && sizeBytes !== finished.sizeBytes) {
    throw sizeMismatch(sizeBytes, finished.sizeBytes);
  }
  rules.checkSize(finished.sizeBytes);
  verifyChecksums(
    { sha256: Buffer.from(finished.sha256, 'hex'), crc32c: finished.crc32c },
    {
      sha256: expected.sha256 === undefined ? undefined : Buffer.from(expected.sha256, 'hex'),
      crc32c: expected.crc32c,
    },
  );
}

async function completeParts(
  context: FilesContext,
  session: Session,
  signal: AbortSignal,
  sent: readonly BlobPart[] = [],
): Promise<void> {
  const { store } = context;
  const { multipartId, stored } = session.state;
  const key = blobKey(session.id);
  let parts = sent;
  if (sent.length !== stored.count) {
    const listed = await store.listParts(key, multipartId!, { signal });
    const byNumber = new Map(listed.map((part) => [part.partNumber, part]));
    parts = Array.from({ length: stored.count }, (_none, index) => byNumber.get(index + 1)).flatMap(
      (part) => part ?? [],
    );
    if (parts.reduce(withPart, NO_PARTS).digest !== stored.digest) throw uploadExpired();
  }
  // `exists` means that an earlier try of the same parts was complete already.
  await store.completeMultipart(key, multipartId!, parts, { signal });
}

async function putWhole(
  context: FilesContext,
  session: Session,
  whole: NonNullable<PartWriter['whole']>,
  signal: AbortSignal,
): Promise<void> {
  const key = blobKey(session.id);
  const { finishing } = session.state;
  const put = () =>
    whole.sendOpen((body) => context.store.put(key, body, finishing!, { signal }), { signal });
  if ((await put()) === 'created') return;
  // A call that was overtaken by this one stored its bytes late; they count only if they are the same.
  const there = await digestOf(await readBlob(context, session, signal));
  if (there.sha256 === finishing!.sha256) return;
  await context.store.delete(key, { signal });
  if ((await put()) === 'exists') throw new Error('a blob lies under the id of an upload');
}

/** The bytes of a session whose blob is put together. */
export async function readBlob(
  context: FilesContext,
  session: Session,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  return (await readBytes(context.store, session.id, { signal })) as AsyncIterable<Uint8Array>;
}
