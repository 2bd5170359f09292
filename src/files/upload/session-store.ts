import { AssetError, isAssetError } from '../../errors/asset-error.ts';
import { uploadTakenOver, uploadNotFound } from '../../errors/uploads.ts';
import { removeBytes } from '../bytes.ts';
import { callerIds, type Caller } from '../../identity/caller.ts';
import type { FilesContext } from '../context.ts';
import { authorizeUpload } from '../policy/guard.ts';
import type { QuotaHold } from '../quota.ts';
import { receiptFor, type Receipt } from './commit.ts';
import type { Uploaded } from './hold.ts';
import { pieceRevisions } from './session-pieces.ts';
import { claimedBytes, toJson, toSession, type Session, type SessionState } from './session-state.ts';
import { reached } from '../../system/crash-points.ts';

/** An upload: still open, or a file. `T` is the file. */
export type SessionOrFile<T = Uploaded> = { readonly session: Session } | T;

/**
 * The upload of this id, if it belongs to the caller: to the same principal, acting for the same end user. A finished one is
 * also there for whoever may read its file; its starter is told the id of a file that it may not read.
 *
 * @param isChange - true for calls that continue the upload: whoever began it must still be allowed to
 * @throws AssetError UPLOAD_NOT_FOUND, the same and after the same work whether there is none or it is somebody else's;
 *   PERMISSION_DENIED
 */
export async function loadUpload(
  context: FilesContext,
  caller: Caller,
  uploadId: string,
  isChange: boolean,
  signal: AbortSignal,
): Promise<SessionOrFile<Receipt>> {
  const { principal, endUser } = callerIds(caller);
  const found = await context.catalog.uploads.get(uploadId, { signal });
  if (found !== undefined) {
    const session = toSession(found);
    const { caller: starter, description } = session.state;
    if (starter.principal === principal && starter.endUser === endUser) {
      if (isChange) authorizeUpload(context, caller, description);
      return { session };
    }
  }
  // Also looked for after a session of somebody else, which a quicker answer would reveal.
  const file = (await context.catalog.get([uploadId], { signal })).get(uploadId);
  if (file !== undefined) {
    const isMine = file.createdBy === principal && file.createdFor === endUser;
    const receipt = receiptFor(context, caller, { file, isNew: false });
    if (isMine || receipt.isReadable) return receipt;
  }
  throw uploadNotFound(uploadId);
}

/** The session of an upload. Throws UPLOAD_FINISHED for a file. */
export function openSession(found: SessionOrFile): Session {
  if ('session' in found) return found.session;
  throw new AssetError('UPLOAD_FINISHED', 'the upload is finished and is a file now', {
    metadata: { file_id: found.file.id },
  });
}

/**
 * Writes a new state, and moves the expiry.
 *
 * @throws AssetError UPLOAD_TAKEN_OVER if another call changed the session since it was read
 */
export async function saveSession(
  context: FilesContext,
  session: Session,
  state: SessionState,
): Promise<Session> {
  const expireTime = expiry(context);
  const change = { state: toJson(state), expireTime, sizeBytes: claimedBytes(state) };
  const saved = await context.catalog.uploads.update(session.id, session.revision, change);
  if (saved === undefined) {
    await removeIfGone(context, session);
    throw uploadTakenOver(session.id);
  }
  reached('session.saved');
  return toSession(saved);
}

/** Expiry of a session that is used now, in whole milliseconds. */
export function expiry(context: FilesContext): Date {
  return new Date(Date.now() + context.uploads.sessionTtlMs);
}

/**
 * Closes a session: it cannot become a file any more. Removes what it stored, if the store can be reached. The sweeper
 * does it again later, because data may still be on its way to the store.
 *
 * @returns false if another call changed the session since it was read
 */
export async function abandonSession(context: FilesContext, session: Session): Promise<boolean> {
  const sweepTime = new Date(Date.now() + context.uploads.graceMs);
  if (!(await context.catalog.uploads.close(session.id, session.revision, sweepTime))) return false;
  reached('session.closed');
  await removeStored(context, session, AbortSignal.timeout(10_000)).catch((error: unknown) => {
    context.log.warn(
      { err: error, uploadId: session.id },
      'an upload could not be cleaned up; the sweeper will',
    );
  });
  return true;
}

/** Errors of the content itself. After any other error the same bytes may succeed with the next try. */
const REFUSALS = [
  'SIZE_MISMATCH',
  'CHECKSUM_MISMATCH',
  'CONTENT_TYPE_MISMATCH',
  'CONTENT_TYPE_NOT_ALLOWED',
  'DATASET_INVALID',
  'FILE_TOO_LARGE',
  'MALWARE_FOUND',
  'USAGE_UNKNOWN',
] as const;

/**
 * Closes a session if its content was refused. A store or scanner that is down, or a caller that is gone, leaves it open.
 * This is the only rule for that. Returns true if it was refused.
 */
export async function abandonIfRefused(
  context: FilesContext,
  session: Session,
  error: unknown,
): Promise<boolean> {
  const isRefused = isAssetError(error, ...REFUSALS);
  if (isRefused) await abandonSession(context, session);
  return isRefused;
}

/**
 * Handles a record that could not be created. Of two calls that finish the same upload one commits; the other gets its
 * file. Rejects with `error` in all other cases.
 */
export async function resolveRefused(
  context: FilesContext,
  session: Session,
  error: unknown,
): Promise<Uploaded> {
  if (isAssetError(error, 'UPLOAD_EXPIRED')) {
    const file = (await context.catalog.get([session.id])).get(session.id);
    if (file !== undefined) return { file, isNew: false };
    await removeIfGone(context, session);
  } else if (isAssetError(error) && !isAssetError(error, 'CATALOG_UNAVAILABLE', 'CONCURRENT_CHANGE')) {
    // What the catalog refuses stores no blob either. These two may succeed with the next try.
    await abandonSession(context, session);
  }
  throw error;
}

/**
 * Takes room in quotas for what a call may add to a session; nothing if its size was given, because the catalog counts the
 * whole size from the start.
 *
 * @throws AssetError QUOTA_EXCEEDED
 */
export async function holdSession(
  context: FilesContext,
  { state }: Pick<Session, 'state'>,
  signal: AbortSignal,
): Promise<QuotaHold | undefined> {
  const { description, sizeBytes, claimed } = state;
  if (claimed && sizeBytes !== undefined) return undefined;
  const bytes = claimedBytes(state);
  const wanted = { sizeBytes: bytes, ...(claimed && { counted: { files: 1, bytes } }) };
  return context.quotas.hold(context, description, wanted, signal);
}

/** Removes everything that a closed session may have stored. Tries all of it, also if something cannot be removed. */
export async function removeStored(
  { store }: Pick<FilesContext, 'store'>,
  session: Session,
  signal: AbortSignal,
): Promise<void> {
  const pieces = pieceRevisions(session);
  await removeBytes(store, session.id, { unfinished: true, blob: true, pieces }, { signal });
}

/**
 * Removes what a late call stored: if its session is closed or a file by now, nobody else knows of it. If another call
 * continues the session, nothing is removed; the end of the session removes everything.
 */
export async function removeIfGone(context: FilesContext, session: Session): Promise<void> {
  const signal = AbortSignal.timeout(10_000);
  try {
    if ((await context.catalog.uploads.get(session.id, { signal })) !== undefined) return;
    // Read after the session: a session is a file before it ceases to be a session.
    const isFile = (await context.catalog.get([session.id], { signal })).has(session.id);
    const pieces = pieceRevisions(session);
    await removeBytes(context.store, session.id, { unfinished: true, blob: !isFile, pieces }, { signal });
  } catch (error) {
    context.log.warn({ err: error, uploadId: session.id }, 'what came too late could not be removed');
  }
}

/**
 * Lets the sweeper look once more at the id of a file whose session had a piece of unknown outcome: a store that held the
 * request back may write it after the pieces were removed, and nobody else knows of it.
 */
export async function sweepLatePieces(
  { catalog, uploads, log }: Pick<FilesContext, 'catalog' | 'uploads' | 'log'>,
  { id, state: { pending } }: Session,
): Promise<void> {
  // The last claim is that of the call which finishes the upload; it has written no piece.
  if (pending.length < 2) return;
  try {
    await catalog.uploads.reserve([id], new Date(Date.now() + uploads.graceMs));
  } catch (error) {
    log.warn({ err: error, uploadId: id }, 'what may come too late of an upload will not be removed');
  }
}
