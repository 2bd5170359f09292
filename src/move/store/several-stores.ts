import type { BlobStore, ListedBlob, ListPage } from '../../storage/blob-store.ts';

/** One page of the lists of several stores, the most important first; a key in several of them comes once. */
export async function mergedPage(
  stores: readonly BlobStore[],
  { limit }: ListPage,
  list: (store: BlobStore) => Promise<readonly ListedBlob[]>,
): Promise<readonly ListedBlob[]> {
  const pages = await Promise.all(stores.map(list));
  const merged = new Map<string, ListedBlob>();
  for (const blob of pages.flat()) {
    const known = merged.get(blob.key);
    const isLater = known !== undefined && known.modifyTime < blob.modifyTime;
    if (known === undefined) merged.set(blob.key, blob);
    else if (isLater) merged.set(blob.key, { ...known, modifyTime: blob.modifyTime });
  }
  const keys = [...merged.keys()].sort((a, b) => (a < b ? -1 : 1));
  return keys.slice(0, limit).map((key) => merged.get(key)!);
}

/** Does something in all stores, the active one first in the list, also after a failure; then rejects with the first one. */
export async function inAll(
  stores: readonly BlobStore[],
  work: (store: BlobStore) => Promise<void>,
): Promise<void> {
  const failures: unknown[] = [];
  // The one that is not active first: what is gone there is not copied back.
  for (const store of stores.toReversed()) await work(store).catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}
