import { uploadTakenOver } from '../../errors/uploads.ts';
import { reached } from '../../system/crash-points.ts';
import { pieceKey, removeBytes } from '../bytes.ts';
import type { FilesContext } from '../context.ts';
import { digestOf } from './checksums.ts';
import { OCTETS } from './open-part.ts';
import type { Parts } from './parts.ts';
import { firstMerged, type Piece, type Session } from './session-state.ts';

/** Time limit of storing a piece, in milliseconds. */
const STORE_TIMEOUT_MS = 10_000;

/**
 * Stores the bytes behind the last whole part as a piece. Does nothing if there are none, or if a part before them
 * is missing.
 *
 * @param session - its tail may be merged into the new piece
 * @param revision - revision of the session under which the piece is written
 * @returns the piece; it includes the pieces of the tail from index `from` on
 * @throws AssetError UPLOAD_TAKEN_OVER, STORE_UNAVAILABLE
 */
export async function storePiece(
  { store }: Pick<FilesContext, 'store'>,
  { id, state }: Pick<Session, 'id' | 'state'>,
  parts: Parts,
  revision: number,
): Promise<(Piece & { readonly from: number }) | undefined> {
  const { addedBytes } = parts.open;
  if (!parts.areDurable || addedBytes === 0) return undefined;
  const from = firstMerged(state.tail, addedBytes);
  // Not the signal of the call: the caller may be gone.
  const sending = { signal: AbortSignal.timeout(STORE_TIMEOUT_MS), fromTail: from };
  return parts.sendOpen(async (body, call) => {
    const status = await store.put(pieceKey(id, revision), body, OCTETS, call);
    if (status === 'exists') throw uploadTakenOver(id);
    reached('session.piece-stored');
    return { from, revision, sizeBytes: body.sizeBytes, crc32c: body.crc32c };
  }, sending);
}

/** Revisions of all pieces that a session may have in the store, recorded or not. */
export function pieceRevisions({ state: { tail, stale, pending } }: Session): readonly number[] {
  return [...tail.map((piece) => piece.revision), ...stale, ...pending];
}

/** Removes the pieces that parts include. The next save drops them from the session. */
export async function removeStale(
  { store }: Pick<FilesContext, 'store'>,
  session: Session,
  signal: AbortSignal,
): Promise<void> {
  await removeBytes(store, session.id, { pieces: session.state.stale }, { signal });
}

/** The session with the checksums of its pieces, which releases before 0.2 did not save. */
export async function withPieceSums(
  { store }: Pick<FilesContext, 'store'>,
  session: Session,
  signal: AbortSignal,
): Promise<Session> {
  const tail: Piece[] = [];
  for (const piece of session.state.tail) {
    const read = () => store.read(pieceKey(session.id, piece.revision), undefined, { signal });
    tail.push({ ...piece, crc32c: piece.crc32c ?? (await digestOf(await read())).crc32c });
  }
  return { ...session, state: { ...session.state, tail } };
}
