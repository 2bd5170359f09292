import type { FileRecord } from '../../catalog/file-catalog.ts';
import { isAssetError } from '../../errors/asset-error.ts';
import { Digest, summed } from '../../files/upload/checksums.ts';
import { writeBlob } from '../../files/upload/write-blob.ts';
import type { BlobProperties } from '../../storage/blob.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import type { MemoryShare } from '../../storage/memory-share.ts';
import type { VerifyReason } from '../check-file.ts';

/** Memory and part size of copies. */
export interface CopyLimits {
  readonly budget: MemoryShare;
  readonly partSizeBytes: number;
  /** Default: the content type of the record alone. */
  readonly properties?: BlobProperties;
}

/** A blob in a store. */
export interface BlobPlace {
  readonly store: BlobStore;
  readonly key: string;
}

/**
 * Copies the bytes of a file that has a checksum. The copy is complete and has the size and checksums of the record, or
 * it does not exist.
 *
 * @returns `exists` if the target has a blob already; why the bytes at `from` are not those of the file
 * @throws AssetError STORE_UNAVAILABLE of either store
 */
export async function copyBytes(
  file: FileRecord,
  from: BlobPlace,
  to: BlobPlace,
  limits: CopyLimits,
  signal: AbortSignal,
): Promise<'created' | 'exists' | VerifyReason> {
  const ended = new AbortController();
  const either = AbortSignal.any([signal, ended.signal]);
  let damage: VerifyReason | undefined;
  const chunks = proven(file, from, either, (reason) => (damage = reason));
  const contentType = /^[ -~]+$/.test(file.contentType) ? file.contentType : 'application/octet-stream';
  const { properties = { contentType }, ...memory } = limits;
  try {
    const options = { ...properties, sizeBytes: file.sizeBytes, ...memory, signal };
    return (await writeBlob(to.store, to.key, chunks, options)).status;
  } catch (error) {
    if (damage !== undefined) return damage;
    throw error;
  } finally {
    ended.abort();
  }
}

/** The bytes of a file. The last of them come only after all are proven to match the record. */
async function* proven(
  file: FileRecord,
  { store, key }: BlobPlace,
  signal: AbortSignal,
  onDamage: (reason: VerifyReason) => void,
): AsyncGenerator<Uint8Array> {
  const digest = new Digest();
  const fail = (reason: VerifyReason) => {
    onDamage(reason);
    throw new Error(`the bytes are damaged: ${reason}`);
  };
  let held: Uint8Array | undefined;
  try {
    for await (const chunk of await store.read(key, undefined, { signal })) {
      if (held !== undefined) yield held;
      held = chunk as Uint8Array;
      digest.update(summed(held));
      if (digest.sizeBytes > file.sizeBytes) fail('size');
    }
  } catch (error) {
    if (isAssetError(error, 'BLOB_MISSING')) fail('missing');
    throw error;
  }
  const { sizeBytes, sha256, crc32c } = digest.finish();
  if (sizeBytes !== file.sizeBytes) fail('size');
  if (Buffer.compare(sha256, file.sha256!) !== 0) fail('sha256');
  if (file.crc32c !== undefined && file.crc32c !== crc32c) fail('crc32c');
  if (held !== undefined) yield held;
}
