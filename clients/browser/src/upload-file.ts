import type { File as AssetFile } from '@asset-service/contract/asset/v1/file_pb.js';
import type { Transport } from '@connectrpc/connect';
import { Calls, type FileDescription, type Standing } from './calls.ts';
import { toUploadError, UploadError } from './errors.ts';
import { hashWorker, sha256Of } from './hash.ts';
import { requestIdOf } from './request-id.ts';
import { sendParts } from './send-parts.ts';
import type { UploadFileOptions } from './upload-options.ts';

/** Number of times that missing parts are sent again before the upload fails. */
const COMPLETIONS = 3;

/**
 * Uploads a file: its parts go straight to the store. Resolves with the record when all bytes are durable and have the SHA-256
 * that a worker computed meanwhile.
 *
 * @param transport - of `@connectrpc/connect-web`: to the service with a user's token, or to a BFF
 * @throws UploadError
 */
export async function uploadFile(
  transport: Transport,
  file: File,
  options: UploadFileOptions = {},
): Promise<AssetFile> {
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  const calls = new Calls(transport, { signal, retries: options.retries ?? 8 });
  let standing: Standing | undefined;
  try {
    const described = { name: file.name, contentType: file.type, ...options };
    const requestId = options.requestId ?? (await requestIdOf(file, options));
    standing = await beginNew(calls, file, described, requestId);
    const { worker = hashWorker } = options;
    const hash = worker === false ? Promise.resolve(undefined) : sha256Of(file, worker, signal);
    // It is awaited at the end.
    hash.catch((error: unknown) => stop.abort(error));
    return await finish(calls, standing, file, hash, { ...options, signal });
  } catch (thrown) {
    const isMine = options.signal?.aborted !== true && stop.signal.aborted;
    const error = toUploadError(isMine ? stop.signal.reason : thrown);
    stop.abort(error);
    const isGone = standing === undefined || standing.file !== undefined;
    const isAborted = options.signal?.aborted === true;
    // What failed for a reason that may pass can be continued.
    const removes = isAborted ? options.keepOnAbort !== true : !error.isRetriable;
    if (!isGone && removes) await calls.cancel(standing!.uploadId).catch(() => undefined);
    throw error;
  }
}

/** Begins an upload; a new one instead of a file that was deleted. */
async function beginNew(
  calls: Calls,
  file: File,
  described: FileDescription,
  requestId: string,
): Promise<Standing> {
  for (let id = requestId; ;) {
    const standing = await calls.begin(described, file.size, id);
    const { file: finished } = standing;
    if (finished?.deleteTime === undefined) return standing;
    id = `${requestId.slice(0, 100)}.${finished.id}`;
  }
}

async function finish(
  calls: Calls,
  begun: Standing,
  file: File,
  hash: Promise<string | undefined>,
  options: UploadFileOptions & { readonly signal: AbortSignal },
): Promise<AssetFile> {
  let standing = begun;
  for (let tries = 1; standing.file === undefined; tries++) {
    await sendParts(calls, standing, file, options);
    const sha256 = await hash;
    try {
      const bytes = sha256 === undefined ? undefined : fromHex(sha256);
      return await calls.complete(standing.uploadId, bytes);
    } catch (error) {
      const { reason } = toUploadError(error);
      if (reason !== 'UPLOAD_PARTS_MISSING' || tries === COMPLETIONS) throw error;
      standing = await calls.standing(standing.uploadId);
    }
  }
  const known = standing.file.checksums?.sha256;
  const sha256 = await hash;
  // Empty if the caller may not read the file.
  if (sha256 !== undefined && known?.length && toHex(known) !== sha256) {
    throw new UploadError('already_exists', 'the request id was used for other content: use a new one', {
      reason: 'REQUEST_ID_REUSED',
      metadata: { file_id: standing.file.id },
    });
  }
  options.onProgress?.({ sentBytes: file.size, sizeBytes: file.size });
  return standing.file;
}

function fromHex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
