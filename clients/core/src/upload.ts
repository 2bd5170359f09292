import { randomUUID } from 'node:crypto';
import type { Connection } from './connection.ts';
import { assertWhole, fromArguments } from './arguments.ts';
import { AssetClientError, toClientError, withRequestId } from './errors.ts';
import { prepareSource } from './prepare-source.ts';
import { ProgressReporter, type UploadProgress } from './progress.ts';
import { sourceFailed } from './reading.ts';
import { type AssetFile, type FileDescription, toAssetFile, toFileMessage } from './records.ts';
import { type CallOptions, isRetriable, Retries } from './retry.ts';
import type { PreparedSource, UploadSource } from './source.ts';
import { sendUpload } from './upload-call.ts';
import { ResumableUpload } from './upload-resumable.ts';
import type { UploadTask } from './upload-task.ts';
import { WholeHash } from './whole-hash.ts';

/** Options of an upload. */
export interface UploadOptions extends FileDescription, CallOptions {
  /** Size of a stream in bytes, if known. The upload fails if the stream has more or fewer. */
  readonly sizeBytes?: number | undefined;
  /**
   * Makes the upload exactly-once across processes: the same id with the same content gives the same file, and a
   * large upload that another process left resumes. The default is a random id, which covers the retries of this
   * call; such an upload is cancelled if it fails permanently or is aborted, so that it does not count in the
   * owner's quota.
   */
  readonly requestId?: string | undefined;
  /**
   * Maximum size in bytes of a file that is sent in one call and sent again after a failure; default 8 MiB. A
   * larger file, or a stream of unknown size, takes one more call and can resume.
   */
  readonly singleCallBytes?: number | undefined;
  /**
   * Maximum number of bytes of a stream kept in memory until they are durable; default 16 MiB. The upload waits for
   * the service after each window, so a smaller window is slower.
   */
  readonly windowBytes?: number | undefined;
  /** Called after each sent piece, after each step back, and once more when the file is stored. */
  readonly onProgress?: ((progress: UploadProgress) => void) | undefined;
}

const MiB = 1024 * 1024;

/** Uploads one file. */
export async function uploadFile(
  connection: Connection,
  source: UploadSource,
  options: UploadOptions,
): Promise<AssetFile> {
  const requestId = options.requestId ?? randomUUID();
  return withSource(source, options, async (prepared, sizeBytes) => {
    const task: NewUpload = {
      ...sharedTask(connection, prepared, options, sizeBytes),
      spec: {
        file: fromArguments(() =>
          toFileMessage({
            ...options,
            name: options.name ?? prepared.name,
            contentType: options.contentType ?? prepared.contentType,
          }),
        ),
        requestId,
        ...(sizeBytes === undefined ? {} : { sizeBytes: BigInt(sizeBytes) }),
      },
      mayBeBegun: options.requestId !== undefined,
    };
    const singleCallBytes = assertWhole('singleCallBytes', options.singleCallBytes) ?? 8 * MiB;
    if (sizeBytes !== undefined && sizeBytes <= singleCallBytes) return uploadWhole(task);
    const upload = new ResumableUpload(task);
    return upload.run().catch(async (error: unknown) => {
      // With a request id of their own, callers can resume. Otherwise nobody could, and the bytes would count in
      // the owner's quota.
      if (options.requestId === undefined) await upload.giveUp();
      throw error;
    });
  }).catch((error: unknown) => {
    throw withRequestId(toClientError(error, options.signal), requestId);
  });
}

/** A new upload. */
type NewUpload = UploadTask & Required<Pick<UploadTask, 'spec'>>;

/** Options of a resumed upload. */
export type ResumeOptions = CallOptions & Pick<UploadOptions, 'sizeBytes' | 'windowBytes' | 'onProgress'>;

/** Sends what the service does not have yet of a begun upload. */
export async function resumeUpload(
  connection: Connection,
  uploadId: string,
  source: UploadSource,
  options: ResumeOptions,
): Promise<AssetFile> {
  return withSource(source, options, (prepared, sizeBytes) => {
    const shared = sharedTask(connection, prepared, options, sizeBytes);
    return new ResumableUpload({ ...shared, uploadId, mayBeBegun: true }).run();
  });
}

/** Prepares a source and closes it at the end. Every failure is an AssetClientError. */
async function withSource(
  source: UploadSource,
  options: ResumeOptions,
  upload: (prepared: PreparedSource, sizeBytes: number | undefined) => Promise<AssetFile>,
): Promise<AssetFile> {
  let prepared: PreparedSource | undefined;
  try {
    prepared = prepareSource(source);
    const known = await prepared.size().catch((error: unknown) => {
      throw sourceFailed(error);
    });
    return await upload(prepared, assertWhole('sizeBytes', options.sizeBytes) ?? known);
  } catch (error) {
    throw toClientError(error, options.signal);
  } finally {
    await prepared?.discard?.();
  }
}

function sharedTask(
  connection: Connection,
  source: PreparedSource,
  options: ResumeOptions,
  sizeBytes: number | undefined,
) {
  return {
    ...{ connection, source },
    windowBytes: assertWhole('windowBytes', options.windowBytes, 1) ?? 16 * MiB,
    retries: new Retries(connection.retry, options, connection.transferMs, Infinity),
    progress: new ProgressReporter(options.onProgress, sizeBytes),
  };
}

/** Sends a small file in one call, and again after a failure. Keeps the bytes of a stream until the end. */
function uploadWhole({ connection, source, spec, retries, progress }: NewUpload): Promise<AssetFile> {
  return retries.run(
    async (current) => {
      progress.begin(0, current.attempt);
      const hash = new WholeHash();
      const call = {
        source,
        hash,
        from: 0,
        until: Infinity,
        first: { case: 'uploadSpec' as const, value: spec },
        onSent: (offset: number) => progress.sent(offset, current.attempt),
      };
      const status = await sendUpload(connection, call, current);
      if (status.case !== 'file')
        throw new AssetClientError('INTERNAL', 'the service answered without a file');
      // The position of the hash, because a record that the caller may not read has no size.
      progress.sent(hash.position, current.attempt);
      return toAssetFile(status.value);
    },
    (failure) => isRetriable(failure) && source.canOpen(0),
  );
}
