import { createHash } from 'node:crypto';
import type { FileRecord } from '../file-catalog.ts';
import type { RawRecord } from './client.ts';
import type { CollectionField, FieldMap, Schema } from './schema.ts';
import { IMPORTED_STATE } from './import-fields.ts';
import { canonicalJson, isEmpty, listOf } from './values.ts';

/**
 * What an imported record keeps until it changes: revision, time of update in milliseconds, attributes that PocketBase
 * shows otherwise, fingerprint.
 */
type StoredState = readonly [
  revision: string,
  updateTime: number,
  attributes: FileRecord['attributes'],
  fingerprint: string,
];

/** What an imported record has from the other catalog. */
export interface ImportedState {
  readonly revision: string;
  readonly updateTime: Date;
  /** Attributes that PocketBase shows otherwise: null for one without a value, and generated ones. */
  readonly attributes: FileRecord['attributes'];
}

/** Field types that always have a value. */
const ALWAYS_SET = new Set(['number', 'bool', 'geoPoint']);

/** The value of {@link IMPORTED_STATE} for a record that is sent with this body. */
export function importedStateFor(
  record: Pick<FileRecord, 'revision' | 'updateTime' | 'attributes'>,
  body: Readonly<Record<string, unknown>>,
  map: FieldMap,
  schema: Schema,
): string {
  const print = fingerprint(body, map, schema, true);
  const attributes = [...schema.attributes.values()].flatMap(({ name, type }) => {
    const value = record.attributes[name] ?? null;
    return type === 'autodate' || (ALWAYS_SET.has(type) && value === null) ? [[name, value]] : [];
  });
  const kept = Object.fromEntries(attributes) as FileRecord['attributes'];
  const state: StoredState = [record.revision, record.updateTime.getTime(), kept, print];
  return JSON.stringify(state);
}

/** What an imported record has; undefined if it was changed since, also by other programs. */
export function importedStateOf(raw: RawRecord, map: FieldMap, schema: Schema): ImportedState | undefined {
  const text = raw[IMPORTED_STATE];
  if (typeof text !== 'string' || text === '') return undefined;
  const [revision, updateTime, attributes, print] = JSON.parse(text) as StoredState;
  if (print !== fingerprint(raw, map, schema, false)) return undefined;
  return { revision, updateTime: new Date(updateTime), attributes };
}

/**
 * A hash of everything in a record that belongs to the file, except generated times.
 *
 * @param isSent - the values are those of a request, whose JSON is text
 */
function fingerprint(
  values: Readonly<Record<string, unknown>>,
  map: FieldMap,
  schema: Schema,
  isSent: boolean,
): string {
  const fields = [
    ...schema.mapped.values(),
    ...schema.relations.values(),
    ...schema.attributes.values(),
  ].filter(({ name, type }) => type !== 'autodate' && name !== map.createTime && name !== map.updateTime);
  const normal = fields.flatMap((field) => {
    const value = normalValue(field, values[field.name], isSent);
    return value === undefined ? [] : [[field.name, value] as const];
  });
  const text = canonicalJson(Object.fromEntries(normal));
  return createHash('sha256').update(text).digest('base64url').slice(0, 22);
}

/** The value in one form, however it is written; undefined if it is empty. */
function normalValue({ type }: CollectionField, value: unknown, isSent: boolean): unknown {
  if (value === undefined || value === null) return undefined;
  if (type === 'json') {
    const parsed: unknown = isSent && typeof value === 'string' && value !== '' ? JSON.parse(value) : value;
    return parsed === null || (parsed === '' && isSent) ? undefined : { json: parsed };
  }
  if (isEmpty(value) || value === 0 || value === false) return undefined;
  if (type === 'relation' || type === 'select') return listOf(value);
  if (type === 'date') return Date.parse((value as string).replace(' ', 'T'));
  return type === 'geoPoint' && canonicalJson(value) === '{"lat":0,"lon":0}' ? undefined : value;
}
