import { AssetClientError, type FileUrl, type FileUrlOptions } from '@asset-service/client-core';
import { assertIds, statusToClientError, toFileUrl, toUrlRequest } from '@asset-service/client-core/internal';
import type { BatchGetFileUrlsResponse } from '@asset-service/contract/asset/v1/asset_service_pb.js';

/** The result for one file: either `url` or `error` is set. */
export type FileUrlResult =
  | { readonly id: string; readonly url: FileUrl; readonly error?: undefined }
  | { readonly id: string; readonly url?: undefined; readonly error: AssetClientError };

/** Maximum number of ids in one call. */
const BATCH = 1000;

/** Requests batches one after the other; returns the results in the order of `ids`. */
export async function fileUrls(
  ask: (requests: ReturnType<typeof toUrlRequest>[]) => Promise<BatchGetFileUrlsResponse>,
  ids: readonly string[],
  options: FileUrlOptions,
): Promise<FileUrlResult[]> {
  const all: FileUrlResult[] = [];
  assertIds('ids', ids);
  while (all.length < ids.length) {
    const batch = ids.slice(all.length, all.length + BATCH);
    const { results } = await ask(batch.map((id) => toUrlRequest(id, options)));
    for (const [index, id] of batch.entries()) {
      const result = results[index]?.result;
      if (result?.case === 'response') all.push({ id, url: toFileUrl(result.value) });
      else if (result?.case === 'error') {
        const error = statusToClientError(result.value);
        // The response was full: the next batch starts with this file.
        if (error.reason === 'MESSAGE_TOO_LARGE' && index > 0) break;
        all.push({ id, error });
      } else throw new AssetClientError('INTERNAL', 'the service left out an answer of the batch');
    }
  }
  return all;
}
