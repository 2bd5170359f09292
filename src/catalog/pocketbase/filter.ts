import { valueRefused } from '../../errors/dependencies.ts';
import type { Branch } from '../list-branches.ts';
import type { ListCursor, SweepCursor } from '../file-catalog.ts';
import { quote } from './client.ts';
import { rangesOf } from './content-types.ts';
import { IMPORTED_CREATE_TIME, IS_IMPORTED, IS_NATIVE } from './import-fields.ts';
import { isMultiple, type CollectionField, type FieldMap, type Schema } from './schema.ts';
import { isStorable } from '../storable.ts';
import { relationUnknown } from '../../errors/fields.ts';

/** Maximum length of a filter in bytes of UTF-8; PocketBase refuses longer ones. */
const MAX_FILTER_BYTES = 3_500;

/** The rest is for conditions besides the ids. */
const MAX_IDS_BYTES = 3_400;

/** Maximum number of records of one filter of {@link idFilters}. */
export const MAX_IDS = 150;

/** Filters that together find the records with these ids. */
export function idFilters(ids: readonly string[]): string[] {
  const known = [...new Set(ids)].filter((id) => id !== '' && isStorable(id));
  return joined(known.map((id) => `id=${quote(id)}`));
}

/** Filters that together find what meets any of these conditions. */
export function anyOf(conditions: readonly string[]): string[] {
  return joined(conditions.map((condition) => `(${condition})`));
}

function joined(parts: readonly string[]): string[] {
  const filters: string[][] = [];
  let length = Infinity;
  for (const part of parts) {
    const bytes = Buffer.byteLength(part);
    if (length + bytes > MAX_IDS_BYTES || filters.at(-1)!.length === MAX_IDS) {
      filters.push([]);
      length = 0;
    }
    filters.at(-1)!.push(part);
    length += bytes + 2;
  }
  return filters.map((some) => some.join('||'));
}

/** Later than every time: PocketBase compares times as text, and later years begin with a sign. */
const NEVER = '~';

/** A time in PocketBase's format. */
export function quoteTime(time: Date): string {
  return quote(time.getUTCFullYear() > 9_999 ? NEVER : time.toISOString().replace('T', ' '));
}

/** Appended to a filter to find only records after a position in the order of a time and the id. */
export function behind(field: string, after: SweepCursor | undefined): string {
  if (after === undefined) return '';
  const time = quoteTime(after.time);
  // In this form an index on the time finds the start.
  return `&&${field}>=${time}&&(${field}>${time}||id>${quote(after.id)})`;
}

/**
 * A condition that every record meets. It names a field that guests may not name, so that a request with a revoked
 * token fails instead of returning only what guests may see.
 */
export function superuserOnly(map: FieldMap): string {
  return `${map.revision}>=0`;
}

/** Position and type of a page of a branch. */
export interface PageFilter {
  readonly showDeleted: boolean;
  readonly after?: ListCursor;
  /** Only imported files, or only others, in the order of their own time of creation. Default: all. */
  readonly imported?: boolean;
  /** The exact content type, in lower case, instead of that of the branch. */
  readonly wholeType?: string;
}

/**
 * The filter of a page of a branch. Throws RELATION_UNKNOWN, or CATALOG_REFUSED for a filter that PocketBase would
 * refuse.
 */
export function listFilter(branch: Branch, query: PageFilter, map: FieldMap, schema: Schema): string {
  const { owner, usage, relation, contentType, createTimeFrom, createTimeTo } = branch.filter;
  const parts = [superuserOnly(map)];
  if (owner !== undefined) parts.push(equals(map.owner, schema.mapped.get('owner'), owner));
  if (usage !== undefined) parts.push(equals(map.usage, schema.mapped.get('usage'), usage));
  for (const other of branch.notUsages) parts.push(differs(map.usage, schema.mapped.get('usage'), other));
  for (const one of [relation, branch.relation]) {
    if (!one) continue;
    const field = schema.relations.get(one.name);
    if (!field) throw relationUnknown(one.name);
    parts.push(equals(one.name, field, one.id));
  }
  const { wholeType } = query;
  if (wholeType !== undefined) parts.push(`${map.contentType}:lower=${quote(wholeType)}`);
  else if (contentType !== undefined) parts.push(hasMediaType(map.contentType, contentType.toLowerCase()));
  const clock = clockOf(query, map);
  if (query.imported !== undefined) parts.push(query.imported ? IS_IMPORTED : IS_NATIVE);
  if (createTimeFrom) parts.push(`${clock}>=${quoteTime(createTimeFrom)}`);
  if (createTimeTo) parts.push(`${clock}<${quoteTime(createTimeTo)}`);
  if (!query.showDeleted) parts.push(`${map.deleteTime}=""`);
  if (query.after) parts.push(isAfter(clock, query.after));
  const filter = parts.join('&&');
  if (Buffer.byteLength(filter) <= MAX_FILTER_BYTES - superuserOnly(map).length - 4) return filter;
  throw valueRefused('filter', 'it is longer than the catalog reads: filter by less');
}

/** The field with the time by which a page is ordered. */
export function clockOf({ imported = false }: Pick<PageFilter, 'imported'>, map: FieldMap): string {
  return imported ? IMPORTED_CREATE_TIME : map.createTime;
}

/** The condition that a field is, or contains, a value. */
export function equals(name: string, field: CollectionField | undefined, value: string): string {
  return field && isMultiple(field) ? `${name}:each?=${quote(value)}` : `${name}=${quote(value)}`;
}

function differs(name: string, field: CollectionField | undefined, value: string): string {
  return field && isMultiple(field) ? `${name}:each!=${quote(value)}` : `${name}!=${quote(value)}`;
}

/** Ignores parameters and case. */
function hasMediaType(name: string, type: string): string {
  const field = `${name}:lower`;
  const ranges = rangesOf(type).map(([from, to]) => `(${field}>=${quote(from)}&&${field}<${quote(to)})`);
  return `(${ranges.join('||')})`;
}

function isAfter(name: string, { createTime, id }: ListCursor): string {
  // A record older than the field has no time; it reads as 1970 and comes last. An imported one always has a time.
  if (createTime.getTime() === 0 && name !== IMPORTED_CREATE_TIME) return `(${name}=""&&id<${quote(id)})`;
  const time = quoteTime(createTime);
  // In this form an index on the time finds the start.
  return `${name}<=${time}&&(${name}<${time}||id<${quote(id)})`;
}
