import { randomBytes, randomUUID } from 'node:crypto';
import { storeUnavailable } from '../../errors/dependencies.ts';
import { readWhole } from '../../storage/blob-reads.ts';
import type { BlobStore, StoreCall } from '../../storage/blob-store.ts';

/** Key of the blob with the id of a store. Settings may name one store in several ways. */
const KEY = 'store-move/id';

const PROPERTIES = { contentType: 'text/plain' };

/** The id of a store; undefined if it has none, because no move began. */
export async function storeId(store: BlobStore, call?: StoreCall): Promise<string | undefined> {
  return (await readWhole(store, KEY, call))?.toString('latin1');
}

/** The id of a store, which it gets if it has none. */
export async function giveStoreId(store: BlobStore, call?: StoreCall): Promise<string> {
  const known = await storeId(store, call);
  if (known !== undefined) return known;
  const id = randomUUID();
  await store.put(KEY, bodyOf(Buffer.from(id)), PROPERTIES, call);
  // Another process may have been faster.
  return (await storeId(store, call)) ?? id;
}

/**
 * Proves that blobs can be written, read and removed.
 *
 * @throws AssetError STORE_UNAVAILABLE
 */
export async function proveWritable(store: BlobStore, call?: StoreCall): Promise<void> {
  const key = `store-move/probe-${randomBytes(8).toString('hex')}`;
  const content = randomBytes(64);
  try {
    await store.put(key, bodyOf(content), PROPERTIES, call);
    const read = await readWhole(store, key, call);
    if (!read?.equals(content)) throw storeUnavailable(new Error('the store returned other bytes'));
  } finally {
    await store.delete(key, call);
  }
  if (await store.stat(key, call)) throw storeUnavailable(new Error('the store did not delete a blob'));
}

function bodyOf(content: Uint8Array) {
  return { sizeBytes: content.length, chunks: [content] };
}
