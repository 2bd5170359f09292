import { UploadError } from './errors.ts';
import type { HashAnswer } from './hash-worker.ts';

/** Starts the worker that hashes a file. */
export type WorkerSource = () => Worker;

/** The worker of this package. Bundlers understand the expression and ship the file. */
export const hashWorker: WorkerSource = () =>
  new Worker(new URL('./hash-worker.js', import.meta.url), { type: 'module' });

/**
 * SHA-256 of a file in hexadecimal, computed in a worker, which ends with the signal.
 *
 * @throws UploadError SOURCE_CHANGED if the file cannot be read any more; HASH_FAILED if the worker does not start
 */
export function sha256Of(file: Blob, start: WorkerSource, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const worker = start();
    const over = () => {
      worker.terminate();
      signal.removeEventListener('abort', onAbort);
    };
    const onAbort = () => {
      over();
      reject(signal.reason);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    worker.onmessage = ({ data }: MessageEvent<HashAnswer>) => {
      over();
      if ('sha256' in data) resolve(data.sha256);
      else reject(sourceChanged(data.failure));
    };
    worker.onerror = (event) => {
      over();
      const why = event.message || 'a content security policy may forbid it';
      reject(
        new UploadError('internal', `the worker that hashes the file failed: ${why}`, {
          reason: 'HASH_FAILED',
        }),
      );
    };
    worker.postMessage(file);
  });
}

/** The error of a file that was changed or removed since it was chosen. */
export function sourceChanged(cause: unknown): UploadError {
  const message = 'the file cannot be read any more: it was changed or removed since it was chosen';
  return new UploadError('failed_precondition', message, { reason: 'SOURCE_CHANGED', cause });
}
