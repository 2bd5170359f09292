import { LRUCache } from 'lru-cache';
import { createHash } from 'node:crypto';
import type { FileRecord, ListCursor } from '../../catalog/file-catalog.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import { readBytes } from '../bytes.ts';
import type { FilesContext } from '../context.ts';
import { isManifest, MANIFEST_TYPE, readManifest } from './manifest.ts';

const PER_PAGE = 500;

/** Bytes of lists of ids that are kept for each store: 8 for each file that a manifest names. */
const CACHE_BYTES = 32 * 2 ** 20;

/** The ids that each manifest names. A manifest never changes, so its list stays right. */
const caches = new WeakMap<BlobStore, LRUCache<string, BigUint64Array>>();

type PinContext = Pick<FilesContext, 'store' | 'catalog'>;

/**
 * The manifests that are not deleted when this is called, to ask which files they name.
 *
 * A manifest that is committed later names only files that were not deleted then. So a file that was deleted before this
 * call, and is not pinned here, can never be named by a manifest unless it is undeleted first, which changes its revision.
 */
export async function livePins(context: PinContext, signal: AbortSignal): Promise<Pins> {
  const manifests: FileRecord[] = [];
  for (let after: ListCursor | undefined; ;) {
    const query = { filter: { contentType: MANIFEST_TYPE }, showDeleted: false, limit: PER_PAGE };
    const page = await context.catalog.list({ ...query, ...(after && { after }) }, { signal });
    manifests.push(...page.filter(isManifest));
    const last = page.at(-1);
    if (last === undefined || page.length < PER_PAGE) return new Pins(context, manifests);
    after = { createTime: last.createTime, id: last.id };
  }
}

/** Which files are named by some manifests. */
export class Pins {
  readonly #context: PinContext;
  readonly #manifests: readonly FileRecord[];

  constructor(context: PinContext, manifests: readonly FileRecord[]) {
    this.#context = context;
    this.#manifests = manifests;
  }

  /** Those of the files that a manifest names, each with it. Rejects if a manifest cannot be read: then nothing is known. */
  async among(fileIds: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, FileRecord>> {
    const wanted = fileIds.map((id) => ({ id, hash: hashOf(id) }));
    const found = new Map<string, FileRecord>();
    for (const manifest of this.#manifests) {
      const ids = await idsOf(this.#context.store, manifest, { signal });
      for (const { id, hash } of wanted) if (has(ids, hash)) found.set(id, manifest);
    }
    return found;
  }
}

/**
 * The hashed ids that a manifest names, sorted. Two ids with one hash would keep a file that need not be kept, and never the
 * other way round.
 */
async function idsOf(
  store: BlobStore,
  { id }: FileRecord,
  call: { readonly signal: AbortSignal },
): Promise<BigUint64Array> {
  const cache = caches.get(store) ?? newCache(store);
  const known = cache.get(id);
  if (known !== undefined) return known;
  const hashes: bigint[] = [];
  for await (const entry of readManifest(await readBytes(store, id, call))) hashes.push(hashOf(entry.id));
  const ids = BigUint64Array.from(hashes).sort();
  cache.set(id, ids);
  return ids;
}

function newCache(store: BlobStore): LRUCache<string, BigUint64Array> {
  const made = new LRUCache<string, BigUint64Array>({
    maxSize: CACHE_BYTES,
    sizeCalculation: (ids) => Math.max(1, ids.byteLength),
  });
  caches.set(store, made);
  return made;
}

function hashOf(id: string): bigint {
  return createHash('sha256').update(id).digest().readBigUInt64LE();
}

function has(sorted: BigUint64Array, wanted: bigint): boolean {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! < wanted) low = middle + 1;
    else high = middle;
  }
  return sorted[low] === wanted;
}
