import type { FileCatalog } from '../../catalog/file-catalog.ts';
import { derivedOf, DERIVED_PREFIX, idOfKey } from '../../files/bytes.ts';
import { unknownIds } from '../../files/sweep/proof.ts';
import { blobPages } from '../../storage/blob-reads.ts';
import type { BlobStore, ListedBlob } from '../../storage/blob-store.ts';

const PAGE = 100;

/** Prefixes of the keys of files and of pieces. */
const [FILES, PIECES] = ['assets/', 'uploads/'];

/** What {@link removeLeftovers} found besides the blobs of files. */
export interface Leftovers {
  /** Number of variants and other data derived from files that were removed. */
  readonly derived: number;
  /** Number of pieces, and of keys with unfinished multipart blobs, that were removed. */
  readonly unfinished: number;
}

/**
 * Removes from a store that no longer gets files what is derived from files, and what uploads left there: pieces, and
 * unfinished multipart blobs. What an open upload or reservation may use stays, and so does what is of no id that the
 * catalog knows, unless `isOwn`.
 *
 * @param isOwn - true if everything in the store is of this catalog
 */
export async function removeLeftovers(
  catalog: FileCatalog,
  store: BlobStore,
  { isOwn, pace }: { readonly isOwn: boolean; readonly pace?: (signal: AbortSignal) => Promise<void> },
  signal: AbortSignal,
): Promise<Leftovers> {
  const open = await openIds(catalog, signal);
  const removed = { derived: 0, unfinished: 0 };
  const each = async (
    page: readonly ListedBlob[],
    idOf: (key: string) => string | undefined,
    remove: (key: string) => Promise<void>,
  ): Promise<number> => {
    const found = page.flatMap(({ key }) => {
      const id = idOf(key);
      return id === undefined ? [] : [{ key, id }];
    });
    const ids = [...new Set(found.map(({ id }) => id))];
    const unknown = isOwn ? new Set<string>() : await unknownIds({ catalog }, ids, true, signal);
    // An upload that has become a file needs nothing more; a reservation may still have its id.
    const files = await catalog.get(
      ids.filter((id) => open.has(id)),
      { signal },
    );
    const due = found.filter(({ id }) => !unknown.has(id) && (!open.has(id) || files.has(id)));
    for (const { key } of due) {
      await pace?.(signal);
      await remove(key);
    }
    return due.length;
  };
  const drop = (key: string) => store.delete(key, { signal });
  const call = { signal };
  for await (const page of blobPages(store, { prefix: DERIVED_PREFIX, limit: PAGE }, call))
    removed.derived += await each(page, (key) => derivedOf(key)?.fileId, drop);
  for await (const page of blobPages(store, { prefix: PIECES, limit: PAGE }, call))
    removed.unfinished += await each(page, (key) => idOfKey('piece', key), drop);
  for (let after: string | undefined; ;) {
    const page = await store.listMultiparts(
      { prefix: FILES, limit: PAGE, ...(after !== undefined && { after }) },
      call,
    );
    removed.unfinished += await each(
      page,
      (key) => idOfKey('blob', key),
      (key) => store.abortMultiparts(key, call),
    );
    if (page.length < PAGE) return removed;
    after = page.at(-1)!.key;
  }
}

/** Ids that an upload may write to now. */
async function openIds(catalog: FileCatalog, signal: AbortSignal): Promise<ReadonlySet<string>> {
  const ids = new Set<string>();
  for (let from: string | undefined; ;) {
    const { items, next } = await catalog.exportState('upload', from, PAGE, { signal });
    for (const { key, value } of items) if (!value.closed) ids.add(key);
    if (next === undefined) break;
    from = next;
  }
  for (let from: string | undefined; ;) {
    const { items, next } = await catalog.exportState('reservation', from, PAGE, { signal });
    for (const { value } of items) {
      // An expired one is of a process that has ended.
      if (value.closed || value.expireTime < Date.now()) continue;
      for (const id of value.fileIds) ids.add(id);
    }
    if (next === undefined) return ids;
    from = next;
  }
}
