import { derivedOf, DERIVED_PREFIX, findDerivedNames } from '../files/bytes.ts';
import { isFailureName } from '../files/renditions.ts';
import { blobPages, readWhole } from '../storage/blob-reads.ts';
import type { BlobStore, StoreCall } from '../storage/blob-store.ts';
import { parseFailure, type VariantFailure } from './rendition-store.ts';

/** Number of keys that are listed at once. */
const PAGE = 500;

/** A failure with the key of its record. */
export interface StoredFailure extends VariantFailure {
  readonly key: string;
}

/** All variants that could not be made. Lists only their records, by definition and then by file. */
export async function* listFailures(store: BlobStore, call: StoreCall = {}): AsyncGenerator<StoredFailure> {
  const names = (await findDerivedNames(store, call)).filter(isFailureName);
  for (const name of names) {
    for await (const page of blobPages(store, { prefix: `${DERIVED_PREFIX}${name}/`, limit: PAGE }, call)) {
      for (const { key } of page) {
        // Undefined if it was removed meanwhile.
        const bytes = derivedOf(key) && (await readWhole(store, key, call));
        const failure = bytes && parseFailure(bytes);
        if (failure) yield { ...failure, key };
      }
    }
  }
}

/**
 * Forgets failures, so that the next request tries again; a running service notices it within a minute.
 *
 * @param fileIds - those of these files; undefined for all
 * @returns how many there were
 */
export async function forgetFailures(
  store: BlobStore,
  fileIds: readonly string[] | undefined,
  call: StoreCall = {},
): Promise<number> {
  let count = 0;
  for await (const { key, fileId } of listFailures(store, call)) {
    if (fileIds !== undefined && !fileIds.includes(fileId)) continue;
    await store.delete(key, call);
    count += 1;
  }
  return count;
}
