import type { FileDescription } from '../../catalog/file-catalog.ts';
import { uploadTakenOver, writeOffsetMismatch, wrongTransport } from '../../errors/uploads.ts';
import type { Caller } from '../../identity/caller.ts';
import { reached } from '../../system/crash-points.ts';
import { blobKey, sizeOfBytes } from '../bytes.ts';
import type { FilesContext } from '../context.ts';
import type { QuotaHold } from '../quota.ts';
import { ResumableHash, verifyChecksums, type ExpectedChecksums } from './checksums.ts';
import { commit, receiptFor, type Receipt } from './commit.ts';
import type { Uploaded } from './hold.ts';
import { declareSize } from './declared-size.ts';
import { completeDirect, storedParts } from './direct.ts';
import { Inflow, type UploadContent } from './inflow.ts';
import { assertScannable } from './scan.ts';
import { SessionHold } from './session-hold.ts';
import { persistedSize, toContent, type Session } from './session-state.ts';
import { removeStale, withPieceSums } from './session-pieces.ts';
import {
  abandonSession,
  holdSession,
  loadUpload,
  openSession,
  saveSession,
  type SessionOrFile,
} from './session-store.ts';
import { finish, scanBlob, transfer } from './transfer.ts';

/** Bytes that a caller adds to an upload over several calls. */
export interface Appendix {
  /** Offset of the bytes in the file. */
  readonly writeOffset: number;
  readonly content: UploadContent;
  /** Greatest number of bytes in `content`; undefined if unknown. */
  readonly maxBytes?: number;
  /** Size of the whole file, if the call gives it. */
  readonly sizeBytes?: number | undefined;
  /** Checksums of the whole file, if the call begins with them. */
  readonly expected?: ExpectedChecksums;
}

/** Progress of an upload; `T` is the file of a finished one. */
export type UploadProgress<T> = { readonly persistedSize: number } | T;

/** An upload that is not finished. */
export interface OpenUpload {
  readonly persistedSize: number;
  readonly expireTime: Date;
  readonly description: FileDescription;
  /** Undefined if unknown. */
  readonly sizeBytes: number | undefined;
  /** Empty without one. */
  readonly requestId: string;
  /** Undefined for an upload of an earlier version. */
  readonly createTime: Date | undefined;
  readonly direct: boolean;
  readonly partSizeBytes: number;
  /** Parts of a direct upload that are in the store; empty for others. */
  readonly storedPartNumbers: readonly number[];
}

/**
 * Adds bytes to an upload, and makes it a file if they are its last. A finished one answers with its file, whatever bytes
 * are sent, unless the checksums with which the call begins are those of another file.
 *
 * @throws AssetError WRITE_OFFSET_MISMATCH, UPLOAD_TAKEN_OVER, UPLOAD_TRANSPORT, and what verification refuses
 */
export async function resumeUpload(
  context: FilesContext,
  caller: Caller,
  uploadId: string,
  appendix: Appendix,
  signal: AbortSignal,
): Promise<UploadProgress<Receipt>> {
  const found = await loadUpload(context, caller, uploadId, true, signal);
  if ('file' in found) return asMeant(found, appendix.expected);
  const progress = await append(context, caller, found.session, appendix, signal);
  return 'file' in progress ? receiptFor(context, caller, progress) : progress;
}

/** The state of an upload. Throws UPLOAD_NOT_FOUND. */
export async function getUpload(
  context: FilesContext,
  caller: Caller,
  uploadId: string,
  signal: AbortSignal,
): Promise<OpenUpload | Receipt> {
  const found = await loadUpload(context, caller, uploadId, false, signal);
  if ('file' in found) return found;
  const { session } = found;
  const { description, sizeBytes, requestId = '', createdAt, direct, partSizeBytes } = session.state;
  return {
    persistedSize: persistedSize(session),
    expireTime: session.expireTime,
    ...{ description, sizeBytes, requestId, direct, partSizeBytes },
    createTime: createdAt === undefined ? undefined : new Date(createdAt),
    storedPartNumbers: direct ? await storedParts(context, session, signal) : [],
  };
}

/** Ends an upload whose bytes are all there. A finished one answers with its file, if it has the given checksums. */
export async function completeUpload(
  context: FilesContext,
  caller: Caller,
  uploadId: string,
  given: ExpectedChecksums,
  signal: AbortSignal,
): Promise<Receipt> {
  const found = await loadUpload(context, caller, uploadId, true, signal);
  if ('file' in found) return asMeant(found, given);
  const complete = found.session.state.direct ? completeDirect : completeAppended;
  return receiptFor(context, caller, await complete(context, caller, found.session, given, signal));
}

/** A finished upload. Throws CHECKSUM_MISMATCH if the caller means another file. */
function asMeant(receipt: Receipt, expected: ExpectedChecksums = {}): Receipt {
  verifyChecksums(receipt.file, expected);
  return receipt;
}

/** Gives an upload up and removes what it stored. Throws UPLOAD_NOT_FOUND, UPLOAD_FINISHED, UPLOAD_TAKEN_OVER. */
export async function cancelUpload(
  context: FilesContext,
  caller: Caller,
  uploadId: string,
  signal: AbortSignal,
): Promise<void> {
  const session = openSession(await loadUpload(context, caller, uploadId, false, signal));
  if (!(await abandonSession(context, session))) throw uploadTakenOver(uploadId);
}

/** Ends an upload whose bytes came through the service. */
async function completeAppended(
  context: FilesContext,
  caller: Caller,
  session: Session,
  given: ExpectedChecksums,
  signal: AbortSignal,
): Promise<Uploaded> {
  const end = { expected: given, isComplete: true };
  const appendix: Appendix = {
    // If it broke off while it was being finished, its last bytes may be lost: it must not end without them.
    writeOffset: session.state.finishing?.sizeBytes ?? persistedSize(session),
    content: { next: () => Promise.resolve({ done: true, value: end }) },
  };
  const result = await append(context, caller, session, appendix, signal);
  if ('file' in result) return result;
  throw uploadTakenOver(session.id);
}

/**
 * Whole parts become durable while the rest is still coming. What is behind them when the call ends, or breaks, is kept as a
 * piece. So a caller loses little, and continues where GetUpload says.
 */
async function append(
  context: FilesContext,
  caller: Caller,
  session: Session,
  appendix: Appendix,
  signal: AbortSignal,
): Promise<UploadProgress<Uploaded>> {
  using _slot = context.admission.enter('session');
  if (session.state.direct) throw wrongTransport(session.id, true);
  const current = await finishStored(context, caller, session, signal);
  if ('file' in current) return current;
  const size = persistedSize(current.session);
  if (appendix.writeOffset !== size) throw writeOffsetMismatch(appendix.writeOffset, size);
  const sized = await withSize(context, current.session, appendix, signal);

  using quota = await holdSession(context, sized, signal);
  await removeStale(context, sized, signal);
  const { state, revision } = await withPieceSums(context, sized, signal);
  // Takes the session over from other calls, and saves under which name this one may leave a piece.
  const pending = [...state.pending, revision + 1];
  const claimed = await saveSession(context, sized, { ...state, stale: [], pending });
  reached('session.claimed');
  return await receive(context, caller, claimed, appendix, quota, signal);
}

/** The session with the size that the call gives, if it does. */
async function withSize(
  context: FilesContext,
  session: Session,
  { writeOffset, sizeBytes, maxBytes = 0 }: Appendix,
  signal: AbortSignal,
): Promise<Session> {
  if (sizeBytes === undefined) return session;
  return declareSize(context, session, sizeBytes, writeOffset + maxBytes, signal);
}

async function receive(
  context: FilesContext,
  caller: Caller,
  session: Session,
  { content, maxBytes }: Appendix,
  quota: QuotaHold | undefined,
  signal: AbortSignal,
): Promise<UploadProgress<Uploaded>> {
  const hold = new SessionHold(context, session, maxBytes);
  const { rules, facts } = hold;
  const admit = async (bytes: number) => {
    rules.checkSize(bytes);
    await quota?.grow(bytes);
    assertScannable(context, bytes);
  };
  const hash = await ResumableHash.from(facts);
  const { sizeBytes } = facts;
  const options = { offset: persistedSize(session), sizeBytes, isWhole: false, admit, hash, signal };
  const inflow = new Inflow(content, options);
  return transfer<UploadProgress<Uploaded>>(
    context,
    hold,
    inflow,
    async (parts) => {
      const { expected, isComplete } = inflow.end;
      if (isComplete) return finish(context, caller, hold, parts, signal);
      return { persistedSize: await hold.keep(parts, expected) };
    },
    signal,
  );
}

/**
 * Continues a session that ended while it was being finished: its blob becomes a file now. A session whose last bytes were
 * lost with the process returns to where it stood before.
 */
async function finishStored(
  context: FilesContext,
  caller: Caller,
  session: Session,
  signal: AbortSignal,
): Promise<SessionOrFile> {
  const { store } = context;
  const { finishing, multipartId, ...before } = session.state;
  if (finishing === undefined) return { session };
  const isStored = (await sizeOfBytes(store, session.id, { signal })) !== undefined;
  if (!isStored && multipartId === undefined) return { session: await saveSession(context, session, before) };
  const hold = new SessionHold(context, session);
  if (!isStored) {
    const parts = await hold.allParts([], multipartId!, { signal });
    await store.completeMultipart(blobKey(session.id), multipartId!, parts, { signal });
  }
  await hold.check(() => scanBlob(context, session.id, signal));
  return commit(context, caller, hold, toContent(finishing), { signal });
}
