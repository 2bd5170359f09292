import { fileTooLarge, sizeContradicted } from '../../errors/uploads.ts';
import type { FilesContext } from '../context.ts';
import { partSizeFor } from './parts.ts';
import { assertScannable } from './scan.ts';
import { claimedBytes, persistedSize, type Session } from './session-state.ts';
import { saveSession } from './session-store.ts';

/**
 * Saves the size of an upload that began without it. Does nothing if it is known already. An error changes nothing.
 *
 * @param cameBytes - bytes of the file that have come, with those of this call as far as known
 * @throws AssetError SIZE_MISMATCH for another size than before or one that is too small; FILE_TOO_LARGE, QUOTA_EXCEEDED;
 *   UPLOAD_TAKEN_OVER
 */
export async function declareSize(
  context: FilesContext,
  session: Session,
  sizeBytes: number,
  cameBytes: number,
  signal: AbortSignal,
): Promise<Session> {
  const { state } = session;
  if (state.sizeBytes !== undefined && state.sizeBytes !== sizeBytes) {
    throw sizeContradicted(sizeBytes, `the upload has the size ${state.sizeBytes} from an earlier call`);
  }
  if (sizeBytes < cameBytes) throw sizeContradicted(sizeBytes, `${cameBytes} bytes came`);
  if (state.sizeBytes === sizeBytes) return session;
  const { description, claimed } = state;
  context.policies.rulesOf(description.usage).checkSize(sizeBytes);
  assertScannable(context, sizeBytes);
  const partSizeBytes = partSizeOf(context, session, sizeBytes);
  const bytes = claimedBytes(state);
  const wanted = { sizeBytes, ...(claimed && { counted: { files: 1, bytes } }) };
  using _room = await context.quotas.hold(context, description, wanted, signal);
  return await saveSession(context, session, { ...state, sizeBytes, partSizeBytes });
}

/** Size of the parts: may still be chosen if nothing is stored; else the store's number of parts must suffice. */
function partSizeOf({ store, uploads }: FilesContext, session: Session, sizeBytes: number): number {
  const { partSizeBytes, multipartId } = session.state;
  const { maxParts } = store.partLimits;
  if (sizeBytes <= partSizeBytes * maxParts) return partSizeBytes;
  if (persistedSize(session) === 0 && multipartId === undefined) {
    return partSizeFor(store, uploads.partSizeBytes, sizeBytes);
  }
  const advice = 'begin an upload with its size';
  throw fileTooLarge(partSizeBytes * maxParts, 'whose upload began without its size', { advice });
}
