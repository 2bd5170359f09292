import type { Caller } from '../../identity/caller.ts';
import type { FilesContext } from '../context.ts';
import type { ExpectedChecksums } from './chunk.ts';
import { receiptFor, type Receipt, type Uploaded } from './receipt.ts';
import { appendToUpload, type Appendix, type UploadProgress } from './append.ts';
import { completeDirect } from './direct.ts';
import { abandonSession, loadSession, loadUpload, loadUploadToWrite } from './session-store.ts';
import { persistedSize, type Session } from './session-state.ts';
import { uploadTakenOver } from '../../errors/uploads.ts';

/** Goes on with an upload. A finished one answers with its file, whatever is sent. */
export async function resumeUpload(
  context: FilesContext,
  caller: Caller,
  uploadId: string,
  appendix: Appendix,
  signal: AbortSignal,
): Promise<UploadProgress<Receipt>> {
  const found = await loadUploadToWrite(context, caller, uploadId, signal);
  if ('file' in found) return found;
  const progress = await appendToUpload(context, found.session, appendix, signal);
  return 'file' in progress ? receiptFor(context, caller, progress) : progress;
}

/** Tells how far an upload has come. Throws UPLOAD_NOT_FOUND. */
export async function getUpload(
  context: FilesContext,
  caller: Caller,
  uploadId: string,
  signal: AbortSignal,
): Promise<UploadProgress<Receipt> & { readonly expireTime?: Date }> {
  const found = await loadUpload(context, caller, uploadId, signal);
  if ('file' in found) return found;
  return { persistedSize: persistedSize(found.session), expireTime: found.session.expireTime };
}

/** Ends an upload whose bytes are all there. A finished one answers with its file. */
export async function completeUpload(
  context: FilesContext,
  caller: Caller,
  uploadId: string,
  given: ExpectedChecksums,
  signal: AbortSignal,
): Promise<Receipt> {
  const found = await loadUploadToWrite(context, caller, uploadId, signal);
  if ('file' in found) return found;
  const complete = found.session.state.direct ? completeDirect : completeAppended;
  return receiptFor(context, caller, await complete(context, found.session, given, signal));
}

/** Ends an upload whose bytes came through the service. */
async function completeAppended(
  context: FilesContext,
  session: Session,
  given: ExpectedChecksums,
  signal: AbortSignal,
): Promise<Uploaded> {
  const end = { expected: given, isComplete: true };
  const appendix: Appendix = {
    // Of one that broke off while it was being finished, its last bytes may be lost: it must not end without them.
    writeOffset: session.state.finishing?.sizeBytes ?? persistedSize(session),
    content: { next: () => Promise.resolve({ done: true, value: end }) },
  };
  const result = await appendToUpload(context, session, appendix, signal);
  if ('file' in result) return result;
  throw uploadTakenOver(session.id);
}

/** Gives an upload up and removes what it stored. Throws UPLOAD_NOT_FOUND, UPLOAD_FINISHED, UPLOAD_TAKEN_OVER. */
export async function cancelUpload(
  context: FilesContext,
  caller: Caller,
  uploadId: string,
  signal: AbortSignal,
): Promise<void> {
  const session = await loadSession(context, caller, uploadId, signal);
  if (!(await abandonSession(context, session))) throw uploadTakenOver(uploadId);
}
