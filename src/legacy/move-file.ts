import type { LegacyRecord } from '../catalog/legacy-records.ts';
import { isAssetError, type AssetError } from '../errors/asset-error.ts';
import { blobKey } from '../files/bytes.ts';
import type { OldSystem } from './old-system.ts';
import { reasonOf, type BytesCopy } from './copy-bytes.ts';
import { contentTypeOf, differencesOf, type HeaderDifferences } from './headers.ts';
import { locate, type OldPlace } from './locate.ts';
import type { Timed } from './throttle.ts';

/** Result of moving one file. */
export type MoveOutcome =
  /** Its bytes are in the store of the service now, and its record has their size and checksums. */
  | 'moved'
  /** It was moved before. */
  | 'already'
  /** The old bucket has no object for the record. */
  | 'missing'
  /** The object contradicts the record. */
  | 'mismatch'
  /** The old bucket did not return the object. */
  | 'unreadable'
  /** The record could not be changed, or the store cannot keep a header of the object. */
  | 'refused'
  /** It is damaged, and an operator has acknowledged that. */
  | 'acknowledged';

/** Tools of a move. */
export interface MoveTools {
  readonly bytes: BytesCopy;
  /** True to determine the result only, and to write nothing. */
  readonly dryRun: boolean;
  /** Called with the time that the store or the catalog took, in milliseconds. */
  readonly onTime: (of: Timed, ms: number) => void;
}

/** Result of one file. `gone`: its record was removed meanwhile. */
export interface Moved {
  readonly outcome: MoveOutcome | 'gone';
  readonly why?: string;
  readonly sizeBytes?: number;
  /** How the bytes were copied. */
  readonly way?: 'server-side' | 'streamed';
  /** Headers of the old object whose values differ when the service serves the file. */
  readonly differs?: HeaderDifferences;
}

/** Maximum size of a file whose copy time is measured, in bytes: for larger files it depends mainly on the size. */
const TIMED_BYTES = 256 * 1024;

/** Number of attempts per file; a concurrent change of its record causes another one. */
const ATTEMPTS = 3;

/** Reasons with which a catalog refuses a change permanently. */
const REFUSED = [
  'CATALOG_REFUSED',
  'RELATION_TARGET_MISSING',
  'RELATION_UNKNOWN',
  'ATTRIBUTE_INVALID',
] as const;

/**
 * Copies the bytes of an old file into the store of the service, writes their size and checksums to the record, and
 * empties its link. The original stays. If the file cannot be moved, nothing of it stays in the store.
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
    // The copy stays: nobody reads it before the record has a checksum, and the next attempt replaces it.
    if (isAssetError(error, 'CONCURRENT_CHANGE')) return 'changed';
    const isGone = isAssetError(error, 'FILE_NOT_FOUND');
    if (!isGone && !isAssetError(error, ...REFUSED)) throw error;
    await system.store.delete(blobKey(file.id), { signal });
    return isGone ? { outcome: 'gone' } : { outcome: 'refused', why: (error as AssetError).message };
  }
  tools.onTime('catalog', performance.now() - began);
  return { outcome: 'moved', ...told, way };
}
