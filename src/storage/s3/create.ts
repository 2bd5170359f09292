import { randomBytes } from 'node:crypto';
import type { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAssetError } from '../../errors/asset-error.ts';
import type { BlobBody } from '../blob.ts';
import type { S3Bucket } from './bucket.ts';
import { hasCode, isBadChecksum, isTaken } from './failures.ts';
import { sendRequest, type Attempt } from './requests.ts';
import { checksum, isRepeatable, UploadBody, writeChunks } from './upload-body.ts';

/** How long an aborted write waits for the response if the store may already have executed it. */
const GRACE_MS = 1_000;
const UNDO_TIMEOUT_MS = 2_000;
/** How late a store may notice an interrupted body, in milliseconds. */
const LATE_MS = 300;

/**
 * Every object has a random write id as metadata. If the response to a write is lost and the retry finds an object,
 * the write id tells whether it is our own.
 */
export function newWriteId(): string {
  return randomBytes(12).toString('hex');
}

/**
 * Runs a request that creates the blob. `send` calls `mayExist` when the store may execute it from then on. An
 * attempt that finds a blob after such an earlier attempt checks whether the blob is its own. If the caller aborts,
 * a blob that was created anyway is removed.
 */
export async function createObject(
  bucket: S3Bucket,
  key: string,
  writeId: string,
  options: {
    signal: AbortSignal | undefined;
    repeat?: boolean;
    stallTimeoutMs?: number;
    /** True if the store gets no checksum: it may accept an interrupted body as complete. */
    unproven?: boolean;
  },
  send: (attempt: Attempt, mayExist: () => void) => Promise<unknown>,
): Promise<'created' | 'exists'> {
  const { signal } = options;
  let mayExist = false;
  const graceMs = () => (mayExist ? GRACE_MS : 0);
  const create = async (attempt: Attempt): Promise<'created' | 'exists'> => {
    const again = mayExist;
    try {
      await send(attempt, () => (mayExist = true));
      return 'created';
    } catch (error) {
      const gone = hasCode(error, 'NoSuchUpload');
      if (!gone && !isTaken(error)) throw error;
      const head = await bucket.head(key, attempt.signal);
      if (gone && !head) throw error;
      return again && head?.Metadata?.['write-id'] === writeId ? 'created' : 'exists';
    }
  };
  try {
    const status = await sendRequest({ stallTimeoutMs: bucket.stallTimeoutMs, ...options, graceMs }, create);
    signal?.throwIfAborted();
    return status;
  } catch (error) {
    if (signal?.aborted && mayExist) await undo(bucket, key, writeId);
    else if (options.unproven === true && !isAssetError(error, 'STORE_UNAVAILABLE')) {
      const undone = sleep(LATE_MS).then(() => undo(bucket, key, writeId));
      // A caller that aborted does not wait.
      if (!signal?.aborted) await undone;
    }
    throw error;
  }
}

/**
 * Sends a body once. `send` makes the request, has the body written, and returns the tag of the stored object.
 * `onHandedOver` is called when the whole body is with the request.
 */
export async function sendBody(
  body: BlobBody,
  attempt: Attempt,
  onHandedOver: () => void,
  send: (write: (request: Writable) => void) => Promise<string>,
): Promise<{ readonly tag: string; readonly crc32c: number }> {
  if (isRepeatable(body)) {
    try {
      const tag = await send((request) => writeChunks(body, request, attempt.stall, onHandedOver));
      return { tag, crc32c: body.crc32c ?? checksum(body.chunks) };
    } catch (error) {
      if (isBadChecksum(error) && checksum(body.chunks) === body.crc32c) {
        throw new Error('damaged on the way', { cause: error });
      }
      throw error;
    }
  }
  const upload = new UploadBody(body, attempt.stall, onHandedOver);
  // An error of the source is not the store's fault.
  upload.once('error', attempt.fail);
  try {
    const tag = await send((request) => upload.pipe(request));
    return { tag, crc32c: body.crc32c ?? upload.crc32c };
  } finally {
    upload.destroy();
  }
}

async function undo(bucket: S3Bucket, key: string, writeId: string): Promise<void> {
  const signal = AbortSignal.timeout(UNDO_TIMEOUT_MS);
  try {
    const head = await bucket.head(key, signal);
    if (head?.Metadata?.['write-id'] === writeId) await bucket.delete(key, signal);
  } catch {
    // The caller has left; the owner of the key deletes what remains.
  }
}
