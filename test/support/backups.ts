import { createHash, randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { isAssetError } from '../../src/errors/asset-error.ts';
import type { FileCatalog, FileRecord } from '../../src/catalog/file-catalog.ts';
import { blobKey } from '../../src/files/bytes.ts';
import { crc32c } from '../../src/files/upload/crc32c.ts';
import { recordFields } from '../../src/move/backup/format.ts';
import type { BlobStore } from '../../src/storage/blob-store.ts';
import { createFile } from '../conformance/file-catalog/subject.ts';

/** A store and its catalog. */
export interface StoreAndCatalog {
  readonly catalog: FileCatalog;
  readonly store: BlobStore;
}

/** Stores a file: its bytes and its record. */
export async function addFile(
  { catalog, store }: StoreAndCatalog,
  content: string | Uint8Array = randomBytes(40),
  fields: Partial<FileRecord> = {},
  requestKey?: string,
): Promise<FileRecord> {
  const bytes = Buffer.from(content);
  const sha256 = new Uint8Array(createHash('sha256').update(bytes).digest());
  const properties = { sizeBytes: bytes.length, sha256, crc32c: crc32c(bytes) };
  const record = await createFile(catalog, { ...properties, ...fields }, requestKey);
  await putBytes(store, record.id, bytes);
  return record;
}

/** Stores the bytes of a file; replaces those that it has. */
export async function putBytes(store: BlobStore, id: string, bytes: Uint8Array): Promise<void> {
  await store.delete(blobKey(id));
  const body = { sizeBytes: bytes.byteLength, chunks: [bytes] };
  await store.put(blobKey(id), body, { contentType: 'text/plain' });
}

/** Everything that a store and a catalog have: each field of each record, and the digest of its bytes. */
export async function contentOf({ catalog, store }: StoreAndCatalog): Promise<object> {
  const files: Record<string, object> = {};
  for (let after = ''; ;) {
    const page = await catalog.exportFiles(after, 500);
    for (const { record, requestKey } of page) {
      files[record.id] = { ...recordFields(record), requestKey, bytes: await digestOf(store, record.id) };
    }
    if (page.length < 500) return files;
    after = page.at(-1)!.record.id;
  }
}

async function digestOf(store: BlobStore, id: string): Promise<string> {
  try {
    return createHash('sha256')
      .update(await buffer(await store.read(blobKey(id))))
      .digest('hex');
  } catch (error) {
    if (isAssetError(error, 'BLOB_MISSING')) return 'missing';
    throw error;
  }
}
