import { assertWhole } from './arguments.ts';
import type { Connection } from './connection.ts';
import { type AssetClientError, toClientError } from './errors.ts';
import type { UploadProgress } from './progress.ts';
import { sourceFailed } from './reading.ts';
import type { AssetFile } from './records.ts';
import type { UploadSource } from './source.ts';
import { uploadFile, type UploadOptions } from './upload.ts';

/** One file of many, with what is to be said of it alone. */
export interface UploadItem extends UploadOptions {
  readonly source: UploadSource;
}

/** The outcome for one file of many: either `file` or `error` is set. */
export type UploadResult =
  | { readonly file: AssetFile; readonly error?: undefined }
  | { readonly file?: undefined; readonly error: AssetClientError };

/** What holds for all files; an item's own options go first. */
export interface UploadFilesOptions extends Omit<
  UploadOptions,
  'name' | 'sizeBytes' | 'requestId' | 'onProgress'
> {
  /** Greatest number of uploads at once; 4 where left out. */
  readonly concurrency?: number | undefined;
  /** Called like that of a single upload; `index` is the place of the file among the sources. */
  readonly onProgress?: ((progress: UploadProgress, index: number) => void) | undefined;
  /** Called when an upload has ended, in whatever order they do. */
  readonly onResult?: ((result: UploadResult, index: number) => void) | undefined;
}

/**
 * Uploads many files, so many at once, each with retries of its own. Sources are taken as there is room for them, so they may be a
 * generator. Rejects only where the sources themselves cannot be listed.
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
      // A generator answers its callers in their order, and nothing comes between its answer and this line.
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
  // What is under way comes to its end also where the list of sources fails.
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
