import pLimit from 'p-limit';
import type { FileRecord } from '../catalog/file-catalog.ts';
import type { FieldValues } from '../catalog/legacy-records.ts';
import { sizeOfBytes } from '../files/bytes.ts';
import type { ListedObject } from '../storage/object-reader.ts';
import type { OldSystem } from './old-system.ts';
import { keysOf } from './layout.ts';
import { originalOf, readOldPath } from './old-path.ts';
import { SERVICE_PREFIX } from './proofs.ts';
import type { PurgeStatus } from './purge-state.ts';

/** An object of the old bucket with its status before the purge. */
export interface JudgedObject {
  readonly object: ListedObject;
  readonly status: PurgeStatus;
  /** Files that refer to it: usually one; none for an orphan. */
  readonly files: readonly FileRecord[];
  /** Its own key, or for a thumbnail the key of its original. */
  readonly originalKey: string;
}

const CONCURRENCY = 16;

/** Maximum number of ids in one request to the catalog. */
const IDS = 200;

/**
 * Determines the status of objects by their keys and by the current size of the copies in the store. Leaves out the
 * service's own probe objects.
 *
 * @throws AssetError STORE_UNAVAILABLE, CATALOG_UNAVAILABLE
 */
export async function judge(
  { bucket, catalog, store }: OldSystem,
  page: readonly ListedObject[],
  signal: AbortSignal,
): Promise<readonly JudgedObject[]> {
  const asked = page
    .filter(({ key }) => !key.startsWith(SERVICE_PREFIX))
    .map((object) => ({ object, ids: readOldPath(object.key, bucket.layouts).ids }));
  const ids = [...new Set(asked.flatMap((one) => one.ids))];
  const fields = new Map<string, FieldValues>();
  const files = new Map<string, FileRecord>();
  for (let at = 0; at < ids.length; at += IDS) {
    const some = ids.slice(at, at + IDS);
    const [values, records] = await Promise.all([
      catalog.legacy.fieldsOf(some, { signal }),
      catalog.get(some, { signal }),
    ]);
    for (const [id, one] of values) fields.set(id, one);
    for (const [id, one] of records) files.set(id, one);
  }
  const limit = pLimit(CONCURRENCY);
  const sizes = new Map<string, Promise<number | undefined>>();
  const copySize = (id: string) => {
    const known = sizes.get(id) ?? limit(() => sizeOfBytes(store, id, { signal }));
    sizes.set(id, known);
    return known;
  };
  return Promise.all(
    asked.map(async ({ object, ids: possible }): Promise<JudgedObject> => {
      const owned = (key: string) =>
        possible.filter((id) => files.has(id) && keysOf(bucket.layouts, fields.get(id) ?? {}).includes(key));
      const asThumb = originalOf(object.key);
      const isOriginal = owned(object.key).length > 0 || asThumb === undefined;
      const originalKey = isOriginal ? object.key : asThumb;
      const owners = owned(originalKey).map((id) => files.get(id)!);
      const judged = { object, files: owners, originalKey };
      if (owners.length === 0) return { ...judged, status: 'orphan' };
      if (owners.some(({ sha256 }) => sha256 === undefined)) return { ...judged, status: 'kept' };
      for (const { id, sizeBytes } of owners) {
        if ((await copySize(id)) !== sizeBytes) return { ...judged, status: 'unproven' };
      }
      if (!isOriginal) return { ...judged, status: 'thumb' };
      const isSame = owners.every(({ sizeBytes }) => sizeBytes === object.sizeBytes);
      return { ...judged, status: isSame ? 'original' : 'differs' };
    }),
  );
}
