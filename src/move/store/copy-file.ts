import type { FileRecord } from '../../catalog/file-catalog.ts';
import { blobKey } from '../../files/bytes.ts';
import type { BlobHeaders, BlobProperties } from '../../storage/blob.ts';
import type { ObjectCopier } from '../../storage/object-copier.ts';
import type { ObjectInfo } from '../../storage/object-reader.ts';
import { copyBytes, type CopyLimits } from '../backup/copy.ts';
import { compareContent, type VerifyReason } from '../check-file.ts';
import type { MovedStore } from './progress.ts';

/**
 * Why a file cannot be copied: its bytes are not those of the record, or it has a `Content-Encoding`, without which readers
 * get other content, and the target keeps no headers.
 */
export type NotCopied = VerifyReason | 'content-encoding';

/** Result for one file: it was there, was copied, or why it cannot be. */
export type Copied = 'present' | 'created' | NotCopied;

/** Where a file is copied from and to. */
export interface Direction {
  readonly from: MovedStore;
  readonly to: MovedStore;
}

/** Servers that do not copy between these buckets, or not with this key. */
const REFUSING = new WeakSet<ObjectCopier>();

/** Attempts: another run may have left a copy. */
const ATTEMPTS = 3;

/**
 * Copies the bytes of a file. Size, SHA-256 and CRC32C are those of the record before the copy is visible. Headers of the
 * object are kept, if both stores keep headers.
 *
 * @param isDoubted - true to read a blob that is there, and to replace one with other bytes
 * @throws AssetError STORE_UNAVAILABLE of either store
 */
export async function copyFile(
  file: FileRecord,
  { from, to }: Direction,
  limits: CopyLimits,
  { isDoubted }: { readonly isDoubted: boolean },
  signal: AbortSignal,
): Promise<Copied> {
  const key = blobKey(file.id);
  for (let attempt = 1; ; attempt++) {
    const there = await to.store.stat(key, { signal });
    if (there !== undefined) {
      const isSame = there.sizeBytes === file.sizeBytes;
      if (isSame && !isDoubted && attempt === 1) return 'present';
      if (isSame && (await damageOf(file, to, signal)) === undefined) return 'present';
      // Only when the right bytes are proven to be in the other store.
      const damage = await damageOf(file, from, signal);
      if (damage !== undefined) return damage;
      await to.store.delete(key, { signal });
    }
    const copied = await copyOnce(file, { from, to }, limits, signal);
    if (copied !== 'exists') return copied;
    if (attempt >= ATTEMPTS) throw new Error(`another process writes ${key}`);
  }
}

/** Why the bytes of a file in a store are not those of the record; undefined if they are. */
export async function damageOf(
  file: FileRecord,
  { store }: Pick<MovedStore, 'store'>,
  signal: AbortSignal,
): Promise<VerifyReason | undefined> {
  const found = await compareContent(file, () => store.read(blobKey(file.id), undefined, { signal }));
  return found.reason;
}

async function copyOnce(
  file: FileRecord,
  { from, to }: Direction,
  limits: CopyLimits,
  signal: AbortSignal,
): Promise<'created' | 'exists' | NotCopied> {
  const key = blobKey(file.id);
  const info = await from.reader?.stat(key, { signal });
  if (from.reader !== undefined && info === undefined) return 'missing';
  const headers = info?.headers ?? (await from.store.headersOf(key, { signal }));
  if (headers.contentEncoding !== undefined && !to.store.keepsHeaders) return 'content-encoding';
  const properties = propertiesOf(file, info, headers);
  const copier = to.copier !== undefined && !REFUSING.has(to.copier) ? to.copier : undefined;
  if (copier !== undefined && from.reader !== undefined && info !== undefined) {
    const { etag, sizeBytes } = info;
    // The copy is of the etag whose bytes are read here.
    const { reason } = await compareContent(file, () => from.reader!.read(key, etag, undefined, { signal }));
    if (reason !== undefined) return reason;
    const copied = await copier.copy(key, { key, etag, sizeBytes }, properties, { signal });
    if (copied !== 'refused') return copied;
    REFUSING.add(copier);
  }
  const [source, target] = [from, to].map(({ store }) => ({ store, key }));
  return copyBytes(file, source!, target!, { ...limits, properties }, signal);
}

function propertiesOf(file: FileRecord, info: ObjectInfo | undefined, headers: BlobHeaders): BlobProperties {
  const contentType = [info?.contentType ?? '', file.contentType].find((type) => /^[ -~]+$/.test(type));
  return { contentType: contentType ?? 'application/octet-stream', headers };
}
