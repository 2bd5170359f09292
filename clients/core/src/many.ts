import type { BatchGetFilesResponse } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { assertIds, assertWhole } from './arguments.ts';
import { AssetClientError, toClientError } from './errors.ts';
import { type AssetFile, toAssetFile } from './records.ts';
import type { CallOptions } from './retry.ts';

/** The result for one file: either `file` or `error` is set. */
export type FileResult =
  | { readonly id: string; readonly file: AssetFile; readonly error?: undefined }
  | { readonly id: string; readonly file?: undefined; readonly error: AssetClientError };

/** Options of methods that make one call per file. */
export interface ManyOptions extends CallOptions {
  /** Maximum number of concurrent calls; default 8. */
  readonly concurrency?: number | undefined;
}

/** Maximum number of ids in one call. */
const BATCH = 1000;

/** Requests batches one after the other; returns the results in the order of `ids`. */
export async function getFiles(
  ask: (fileIds: string[]) => Promise<BatchGetFilesResponse>,
  ids: readonly string[],
): Promise<FileResult[]> {
  const found = new Map<string, AssetFile>();
  const missing = new Set<string>();
  let left = [...new Set(assertIds('ids', ids))];
  let size = BATCH;
  while (left.length > 0) {
    const batch = left.slice(0, size);
    const answer = await ask(batch).catch((error: unknown) => {
      const fitting = sizeThatFits(error, batch.length);
      if (fitting === undefined) throw error;
      size = fitting;
      return undefined;
    });
    if (answer === undefined) continue;
    for (const file of answer.files) found.set(file.id, toAssetFile(file));
    for (const id of answer.missingFileIds) missing.add(id);
    const rest = left.filter((id) => !found.has(id) && !missing.has(id));
    // A response may omit ids to stay below its size limit, but never all of them.
    if (rest.length === left.length) {
      throw new AssetClientError('INTERNAL', 'the service left out the answers of a batch');
    }
    left = rest;
  }
  return ids.map((id) => {
    const file = found.get(id);
    return file === undefined ? { id, error: notFound(id) } : { id, file };
  });
}

/** How many files to request if the response for `count` would be too large; undefined for other errors. */
function sizeThatFits(error: unknown, count: number): number | undefined {
  if (!(error instanceof AssetClientError) || error.reason !== 'MESSAGE_TOO_LARGE' || count === 1)
    return undefined;
  const said = Number(error.metadata['max_files']);
  return said >= 1 && said < count ? said : Math.ceil(count / 2);
}

/** Makes one call per id, with limited concurrency; a failed call does not stop the others. */
export async function forEachFile(
  call: (id: string) => Promise<AssetFile>,
  ids: readonly string[],
  { concurrency, signal }: ManyOptions,
): Promise<FileResult[]> {
  const results: FileResult[] = [];
  const rest = [...assertIds('ids', ids)].entries();
  const worker = async () => {
    for (const [index, id] of rest) {
      results[index] = await call(id).then(
        (file): FileResult => ({ id, file }),
        (error: unknown): FileResult => ({ id, error: toClientError(error, signal) }),
      );
    }
  };
  await Promise.all(Array.from({ length: assertWhole('concurrency', concurrency, 1) ?? 8 }, worker));
  return results;
}

function notFound(id: string): AssetClientError {
  return new AssetClientError('NOT_FOUND', `there is no file ${id}, or the caller may not read it`, {
    reason: 'FILE_NOT_FOUND',
    metadata: { file_id: id },
  });
}
