import type { LegacyRecord } from '../catalog/legacy-records.ts';
import { isAssetError, type AssetError } from '../errors/asset-error.ts';
import { blobKey } from '../files/bytes.ts';
import type { OldSystem } from './old-system.ts';
import { reasonOf, type BytesCopy } from './copy-bytes.ts';
import { contentTypeOf, differencesOf, type HeaderDifferences } from './headers.ts';
import { locate, type OldPlace } from './locate.ts';
import type { Timed } from './throttle.ts';

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
  readonly bytes: BytesCopy;
  /** True to find out what would come of a file, and to write nothing. */
  readonly dryRun: boolean;
  /** Is told how long the store or the catalog took, in milliseconds. */
  readonly onTime: (of: Timed, ms: number) => void;
}

/** What came of a file, and why where it was not moved. */
export interface Moved {
  readonly outcome: MoveOutcome | 'gone';
  readonly why?: string;
  readonly sizeBytes?: number;
  /** How the bytes were copied. */
  readonly way?: 'server-side' | 'streamed';
  /** Headers of the old object that readers get otherwise from the service. */
  readonly differs?: HeaderDifferences;
}

/** Largest file whose copy tells how quick the store is, in bytes: of larger ones it tells the size. */
const TIMED_BYTES = 256 * 1024;

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
  const { info } = place;
  const { keepsHeaders } = system.store;
  const { contentEncoding } = info.headers;
  if (contentEncoding !== undefined && !keepsHeaders) {
    const why = `the store of the service cannot keep its Content-Encoding (${contentEncoding})`;
    return { outcome: 'refused', why };
  }
  const differs = differencesOf(file, info, keepsHeaders);
  const told = { sizeBytes: info.sizeBytes, ...(Object.keys(differs).length > 0 && { differs }) };
  if (tools.dryRun) return { outcome: 'moved', ...told };
  const copying = performance.now();
  const copied = await tools.bytes.copy(file, place, signal);
  if ('unreadable' in copied) return { outcome: 'unreadable', why: copied.unreadable };
  const began = performance.now();
  if (info.sizeBytes <= TIMED_BYTES) tools.onTime('copy', began - copying);
  const { way, ...bytes } = copied;
  const contentType = contentTypeOf(file, info);
  const { linkField } = system.bucket;
  try {
    const emptied = fields[linkField] === undefined ? [] : [linkField];
    const known = { ...bytes, ...(contentType !== file.contentType && { contentType }) };
    await system.catalog.legacy.setBytes(file.id, file.revision, known, emptied, { signal });
  } catch (error) {
    // Until the record says so, nobody reads the copy.
    if (isAssetError(error, 'CONCURRENT_CHANGE')) return 'changed';
    const isGone = isAssetError(error, 'FILE_NOT_FOUND');
    if (!isGone && !isAssetError(error, ...REFUSED)) throw error;
    await system.store.delete(blobKey(file.id), { signal });
    return isGone ? { outcome: 'gone' } : { outcome: 'refused', why: (error as AssetError).message };
  }
  tools.onTime('catalog', performance.now() - began);
  return { outcome: 'moved', ...told, way };
}
