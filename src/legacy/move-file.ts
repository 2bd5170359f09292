import { isAssetError, type AssetError } from '../errors/asset-error.ts';
import { storeUnavailable } from '../errors/dependencies.ts';
import type { LegacyRecord } from '../catalog/legacy-records.ts';
import { blobKey } from '../files/bytes.ts';
import { writeBlob } from '../files/upload/write-blob.ts';
import type { MemoryShare } from '../storage/memory-share.ts';
import type { OldSystem } from './audit.ts';
import { locate, type OldPlace } from './locate.ts';

/** What came of one file. */
export type MoveOutcome =
  /** Its bytes are in the store of the service now, and its record says what they are. */
  | 'moved'
  /** They were before. */
  | 'already'
  /** The old bucket has no object for the record. */
  | 'missing'
  /** The object contradicts the record. */
  | 'mismatch'
  /** The old bucket does not give the object. */
  | 'unreadable'
  /** The catalog takes no change of the record. */
  | 'refused'
  /** It is damaged, and somebody said that it may be. */
  | 'acknowledged';

/** What files are moved with. */
export interface MoveTools {
  readonly budget: MemoryShare;
  readonly partSizeBytes: number;
  /** True to find out what would come of a file, and to write nothing. */
  readonly dryRun: boolean;
  /** Is told how long the store or the catalog took, in milliseconds. */
  readonly onTime: (of: 'store' | 'catalog', ms: number) => void;
}

/** What came of a file, and why where it was not moved. */
export interface Moved {
  readonly outcome: MoveOutcome | 'gone';
  readonly why?: string;
  readonly sizeBytes?: number;
}

/** Times that a file is begun anew, since something else changed it meanwhile. */
const ATTEMPTS = 3;

/** Reasons by which a catalog refuses a change for good. */
const REFUSED = [
  'CATALOG_REFUSED',
  'RELATION_TARGET_MISSING',
  'RELATION_UNKNOWN',
  'ATTRIBUTE_INVALID',
] as const;

/**
 * Copies the bytes of an old file into the store of the service, writes down what they are and empties its link. The original
 * stays. A file that could not be moved leaves nothing in the store.
 *
 * @throws AssetError STORE_UNAVAILABLE of the store of the service, CATALOG_UNAVAILABLE
 */
export async function moveFile(
  system: OldSystem,
  record: LegacyRecord,
  tools: MoveTools,
  signal: AbortSignal,
): Promise<Moved> {
  let current = record;
  for (let attempt = 1; ; attempt++) {
    if (current.file.sha256 !== undefined) return { outcome: attempt === 1 ? 'already' : 'moved' };
    const moved = await tryToMove(system, current, tools, signal);
    if (moved !== 'changed') return moved;
    if (attempt === ATTEMPTS)
      return { outcome: 'refused', why: 'something else changes the record all the time' };
    const { id } = record.file;
    const [file, fields] = await Promise.all([
      system.catalog.get([id], { signal }),
      system.catalog.legacy.fieldsOf([id], { signal }),
    ]);
    if (!file.has(id)) return { outcome: 'gone' };
    current = { file: file.get(id)!, fields: fields.get(id) ?? {} };
  }
}

async function tryToMove(
  system: OldSystem,
  { file, fields }: LegacyRecord,
  tools: MoveTools,
  signal: AbortSignal,
): Promise<Moved | 'changed'> {
  let place: OldPlace;
  const asked = performance.now();
  try {
    place = await locate(system.bucket, file, fields, signal);
  } catch (error) {
    if (isAssetError(error, 'STORE_UNAVAILABLE')) return { outcome: 'unreadable', why: reasonOf(error) };
    throw error;
  }
  tools.onTime('store', performance.now() - asked);
  if (place.damage !== undefined) {
    const isMissing = place.damage === 'missing' || place.damage === 'no-key';
    return { outcome: isMissing ? 'missing' : 'mismatch', why: place.damage };
  }
  if (tools.dryRun) return { outcome: 'moved', sizeBytes: place.info.sizeBytes };
  const bytes = await copy(system, { id: file.id, contentType: file.contentType, ...place }, tools, signal);
  if ('outcome' in bytes) return bytes;
  const { linkField } = system.bucket;
  const began = performance.now();
  try {
    const emptied = fields[linkField] === undefined ? [] : [linkField];
    await system.catalog.legacy.setBytes(file.id, file.revision, bytes, emptied, { signal });
  } catch (error) {
    // Until the record says so, nobody reads the copy.
    if (isAssetError(error, 'CONCURRENT_CHANGE')) return 'changed';
    const isGone = isAssetError(error, 'FILE_NOT_FOUND');
    if (!isGone && !isAssetError(error, ...REFUSED)) throw error;
    await system.store.delete(blobKey(file.id), { signal });
    return isGone ? { outcome: 'gone' } : { outcome: 'refused', why: (error as AssetError).message };
  }
  tools.onTime('catalog', performance.now() - began);
  return { outcome: 'moved', sizeBytes: bytes.sizeBytes };
}

async function copy(
  { bucket, store }: OldSystem,
  from: { readonly id: string; readonly contentType: string; readonly key: string } & Extract<
    OldPlace,
    { info: object }
  >,
  { budget, partSizeBytes }: MoveTools,
  signal: AbortSignal,
): Promise<{ readonly sizeBytes: number; readonly sha256: Uint8Array; readonly crc32c: number } | Moved> {
  const key = blobKey(from.id);
  for (let attempt = 1; ; attempt++) {
    let failure: unknown;
    const read = async function* () {
      try {
        for await (const chunk of await bucket.reader.read(from.key, from.info.etag, undefined, { signal })) {
          yield chunk as Uint8Array;
        }
      } catch (error) {
        failure = error;
        throw error;
      }
    };
    // A type is a header of the store.
    const contentType = /^[ -~]+$/.test(from.contentType) ? from.contentType : 'application/octet-stream';
    const { sizeBytes } = from.info;
    try {
      const options = { sizeBytes, contentType, partSizeBytes, budget, signal };
      const { status, ...bytes } = await writeBlob(store, key, read(), options);
      if (status === 'created') return bytes;
    } catch (error) {
      if (failure === undefined || !isAssetError(failure, 'STORE_UNAVAILABLE', 'BLOB_MISSING')) throw error;
      return { outcome: 'unreadable', why: reasonOf(failure) };
    }
    // A run that was killed left it before the record was written: nobody can say what is in it.
    if (attempt === ATTEMPTS) throw storeUnavailable(new Error('a copy of another run is in the way'));
    await store.delete(key, { signal });
  }
}

function reasonOf(error: AssetError): string {
  return error.reason === 'BLOB_MISSING'
    ? 'the object was replaced while it was read'
    : 'the old bucket does not answer';
}
