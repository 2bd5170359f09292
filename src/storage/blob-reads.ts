import { buffer } from 'node:stream/consumers';
import { isAssetError } from '../errors/asset-error.ts';
import type { BlobStore, ListedBlob, StoreCall } from './blob-store.ts';

/** The content of a small blob; undefined if there is none. */
export async function readWhole(
  store: Pick<BlobStore, 'read'>,
  key: string,
  call?: StoreCall,
): Promise<Buffer | undefined> {
  try {
    return await buffer(await store.read(key, undefined, call));
  } catch (error) {
    if (isAssetError(error, 'BLOB_MISSING')) return undefined;
    throw error;
  }
}

/** The blobs whose keys begin with a prefix, in key order and in pages of at most `limit`; the last one may be empty. */
export async function* blobPages(
  store: Pick<BlobStore, 'listBlobs'>,
  { prefix, limit }: { readonly prefix: string; readonly limit: number },
  call?: StoreCall,
): AsyncGenerator<readonly ListedBlob[]> {
  for (let after: string | undefined; ;) {
    const page = await store.listBlobs({ prefix, limit, ...(after !== undefined && { after }) }, call);
    yield page;
    if (page.length < limit) return;
    after = page.at(-1)!.key;
  }
}
