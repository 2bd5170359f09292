import type { FileRecord } from '../../catalog/file-catalog.ts';
import type { Caller } from '../caller.ts';
import type { FilesContext } from '../context.ts';
import type { ExpectedChecksums } from '../digest.ts';
import { appendToUpload, type Appendix, type UploadProgress } from './append.ts';
import { completeDirect } from './direct.ts';
import { abandonSession, loadSession, loadUpload, loadUploadToWrite } from './session-store.ts';
import { persistedSize, takenOver } from './state.ts';

/** Goes on with an upload. A finished one answers with its file, whatever is sent. */
export async function resumeUpload(
  context: FilesContext,
  caller: Caller,
  uploadId: string,
  appendix: Appendix,
  signal: AbortSignal,
): Promise<UploadProgress> {
  const found = await loadUploadToWrite(context, caller, uploadId, signal);
  if ('file' in found) return found;
  return appendToUpload(context, found.session, appendix, signal);
}

/** Tells how far an upload has come. Throws UPLOAD_NOT_FOUND. */
export async function getUpload(
  context: FilesContext,
  caller: Caller,
  uploadId: string,
  signal: AbortSignal,
): Promise<UploadProgress & { readonly expireTime?: Date }> {
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
): Promise<FileRecord> {
  const found = await loadUploadToWrite(context, caller, uploadId, signal);
  if ('file' in found) return found.file;
  const { session } = found;
  if (session.state.direct) return completeDirect(context, session, given, signal);
  const appendix: Appendix = {
    // Of one that broke off while it was being finished, its last bytes may be lost: it must not end without them.
    writeOffset: session.state.finishing?.sizeBytes ?? persistedSize(session),
    content: (async function* () {})(),
    expected: () => given,
    finish: () => true,
  };
  const result = await appendToUpload(context, session, appendix, signal);
  if ('file' in result) return result.file;
  throw takenOver(uploadId);
}

/** Gives an upload up and removes what it stored. Throws UPLOAD_NOT_FOUND, UPLOAD_FINISHED, UPLOAD_TAKEN_OVER. */
export async function cancelUpload(
  context: FilesContext,
  caller: Caller,
  uploadId: string,
  signal: AbortSignal,
): Promise<void> {
  const session = await loadSession(context, caller, uploadId, signal);
  if (!(await abandonSession(context, session))) throw takenOver(uploadId);
}
