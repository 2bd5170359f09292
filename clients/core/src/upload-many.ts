import { assertWhole } from './arguments.ts';
import type { Connection } from './connection.ts';
import { type AssetClientError, toClientError } from './errors.ts';
import type { UploadProgress } from './progress.ts';
import { sourceFailed } from './reading.ts';
import type { AssetFile } from './records.ts';
import type { UploadSource } from './source.ts';
import { uploadFile, type UploadOptions } from './upload.ts';

/** One of many files, with its own options. */
export interface UploadItem extends UploadOptions {
  readonly source: UploadSource;
}

/** The result for one file: either `file` or `error` is set. */
export type UploadResult =
  | { readonly file: AssetFile; readonly error?: undefined }
  | { readonly file?: undefined; readonly error: AssetClientError };

/** Options of all files; an item's own options take precedence. */
export interface UploadFilesOptions extends Omit<
  UploadOptions,
  'name' | 'sizeBytes' | 'requestId' | 'onProgress'
> {
  /** Maximum number of concurrent uploads; default 4. */
  readonly concurrency?: number | undefined;
  /** Called like that of a single upload; `index` is the position of the file among the sources. */
  readonly onProgress?: ((progress: UploadProgress, index: number) => void) | undefined;
  /** Called when an upload has ended, in any order. */
  readonly onResult?: ((result: UploadResult, index: number) => void) | undefined;
}

/**
 * Uploads many files with limited concurrency and separate retries. Takes sources as there is room, so they may be
 * a generator. Rejects only if iterating the sources fails.
 */
export async function uploadFiles(
  connection: Connection,
  sources: Iterable<UploadSource | UploadItem> | AsyncIterable<UploadSource | UploadItem>,
  options: UploadFilesOptions,
): Promise<UploadResult[]> {
  const { concurrency = 4, onProgress, onResult, ...shared } = options;
  assertWhole('concurrency', concurrency, 1);
  const results: UploadResult[] = [];
  let count = 0;
  const items = listed(sources);
  const worker = async () => {
    const take = () =>
      items.next().catch((error: unknown) => {
        throw sourceFailed(error);
      });
    for (let next = await take(); next.done !== true; next = await take()) {
      // Safe: a generator answers requests in order, and nothing runs between its answer and this line.
      const index = count++;
      const { source, ...own } = next.value;
      const upload = uploadFile(connection, source, {
        ...shared,
        onProgress: onProgress && ((progress) => onProgress(progress, index)),
        ...own,
      });
      const result = await upload.then(
        (file): UploadResult => ({ file }),
        (error: unknown): UploadResult => ({ error: toClientError(error, options.signal) }),
      );
      results[index] = result;
      onResult?.(result, index);
    }
  };
  // Running uploads finish even if iterating the sources fails.
  const ended = await Promise.allSettled(Array.from({ length: concurrency }, worker));
  for (const each of ended) if (each.status === 'rejected') throw toClientError(each.reason);
  return results;
}

async function* listed(
  sources: Iterable<UploadSource | UploadItem> | AsyncIterable<UploadSource | UploadItem>,
): AsyncGenerator<UploadItem> {
  for await (const source of sources) {
    yield typeof source === 'object' && source !== null && 'source' in source ? source : { source };
  }
}
