import type { FileDescription } from './calls.ts';
import type { WorkerSource } from './hash.ts';

/** How far an upload is. */
export interface UploadProgress {
  readonly sentBytes: number;
  readonly sizeBytes: number;
}

/** Options of an upload. */
export interface UploadFileOptions extends FileDescription {
  /**
   * Identifies the upload: the same id goes on with what an earlier call left, also after a reload of the page, and gives the
   * same file if it is finished. Default: made of name, size, time and description of the file.
   */
  readonly requestId?: string | undefined;
  /** Called when bytes were sent, at most some times per second. */
  readonly onProgress?: ((progress: UploadProgress) => void) | undefined;
  /** Aborts the upload. What came is removed, unless `keepOnAbort`. */
  readonly signal?: AbortSignal | undefined;
  /** True to keep what came when the signal is aborted, for a pause: the same call goes on with it. */
  readonly keepOnAbort?: boolean | undefined;
  /** Number of parts that are sent at once. Default 4. */
  readonly concurrency?: number | undefined;
  /** Number of retries of each call and each part. Default 8: about a minute. */
  readonly retries?: number | undefined;
  /** Starts the worker that hashes, where the bundler does not ship that of this package; `false` to send no SHA-256. */
  readonly worker?: WorkerSource | false | undefined;
}
