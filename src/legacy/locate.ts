import type { FileRecord } from '../catalog/file-catalog.ts';
import type { FieldValues } from '../catalog/legacy-records.ts';
import { essence, isGeneric, isSameType } from '../files/content-type/media-types.ts';
import type { ObjectInfo, ObjectReader } from '../storage/object-reader.ts';
import { keysOf, type Layout } from './layout.ts';
import { readOldPath } from './old-path.ts';

/** The old bucket and how records refer to it. */
export interface OldBucket {
  readonly reader: ObjectReader;
  readonly layouts: readonly Layout[];
  /** Field of the record that may have a link. */
  readonly linkField: string;
}

/** Damage of an old file. */
export type OldDamage =
  /** No object under any of its keys. */
  | 'missing'
  /** The record has no key: the fields of every layout are empty. */
  | 'no-key'
  /** The object and the record have different sizes. */
  | 'size-mismatch'
  /** The object's type contradicts the record's. */
  | 'type-mismatch'
  /** The link names an object of another record. */
  | 'foreign-link';

/** Where the bytes of an old file are, or why there are no trustworthy ones. */
export type OldPlace =
  | { readonly damage?: undefined; readonly key: string; readonly info: ObjectInfo }
  | { readonly damage: OldDamage; readonly key?: string };

/** An id in PocketBase's format. */
const RECORD_ID = /^[a-z0-9]{15}$/;

/**
 * Finds the bytes of a file that was not moved: first under the key in its link, then by the layouts. Checks only
 * keys of the record itself, so that nobody gets the bytes of another file. Rejects with STORE_UNAVAILABLE if the
 * bucket does not answer.
 */
export async function locate(
  { reader, layouts, linkField }: OldBucket,
  file: FileRecord,
  fields: FieldValues,
  signal?: AbortSignal,
): Promise<OldPlace> {
  const keys = keysOf(layouts, fields);
  const link = fields[linkField]?.[0] ?? '';
  const linked = link === '' ? undefined : keyOfLink(link, keys, fields, layouts);
  if (linked === 'foreign') return { damage: 'foreign-link' };
  if (keys.length === 0) return { damage: 'no-key' };
  let damaged: OldPlace | undefined;
  for (const key of linked === undefined ? keys : [linked.key, ...keys.filter((one) => one !== linked.key)]) {
    const info = await reader.stat(key, { ...(signal && { signal }) });
    if (info === undefined) continue;
    const damage = damageOf(file, info);
    if (damage === undefined) return { key, info };
    damaged ??= { damage, key };
  }
  return damaged ?? { damage: 'missing' };
}

/** Why an object contradicts the record; undefined if it does not. */
export function damageOf(file: FileRecord, info: Pick<ObjectInfo, 'sizeBytes'> & { contentType?: string }) {
  // A catalog without sizes returns 0.
  if (file.sizeBytes > 0 && file.sizeBytes !== info.sizeBytes) return 'size-mismatch';
  const [said, stored] = [essence(file.contentType), essence(info.contentType ?? '')];
  const isVague = isGeneric(said) || isGeneric(stored) || (isText(said) && isText(stored));
  return isVague || isSameType(said, stored) ? undefined : 'type-mismatch';
}

/** PocketBase derives text types from the file name. HTML is not treated as text, because browsers run it. */
function isText(type: string): boolean {
  return type !== 'text/html' && (type.startsWith('text/') || /[/+](json|xml|javascript)$/.test(type));
}

/** The key in a link; 'foreign' for an object of another record, undefined if it is no link to an object. */
function keyOfLink(
  link: string,
  keys: readonly string[],
  fields: FieldValues,
  layouts: readonly Layout[],
): { readonly key: string } | 'foreign' | undefined {
  const path = readOldPath(link, layouts);
  const key = path.keyAmong(keys, fields);
  if (key !== undefined) return { key };
  return path.plainIds.some((id) => RECORD_ID.test(id)) ? 'foreign' : undefined;
}
