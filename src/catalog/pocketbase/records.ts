import { createHash } from 'node:crypto';
import { relationUnknown } from '../../errors/fields.ts';
import { valueRefused } from '../../errors/dependencies.ts';
import type { FileChange, FileRecord, JsonValue, NewFileRecord } from '../file-catalog.ts';
import type { RawRecord } from './client.ts';
import type { CollectionField, FieldMap, FieldName, Schema } from './schema.ts';
import { IMPORTED_CREATE_TIME, IMPORTED_STATE } from './import-fields.ts';
import { importedStateOf } from './imported.ts';
import { canonicalJson, isEmpty, listOf, toValue, unknownAttribute } from './values.ts';

/**
 * The file in a record.
 *
 * PocketBase does not distinguish unset from empty fields: attributes with "" or [] are omitted, 0 and false are
 * returned. A json field keeps everything except null.
 */
export function toFile(raw: RawRecord, map: FieldMap, schema: Schema): FileRecord {
  const text = (field: FieldName) => firstOf(raw[map[field]]);
  const time = (field: FieldName) => parseTime(raw[map[field]]);
  const imported = importedStateOf(raw, map, schema);
  const sha256 = text('sha256');
  const crc32c = text('crc32c');
  const relations = [...schema.relations.keys()].map((name) => [name, listOf(raw[name])] as const);
  const attributes = [...schema.attributes.values()].flatMap((field) => {
    const value = imported?.attributes[field.name] ?? (raw[field.name] as JsonValue | undefined);
    const isMissing =
      value === undefined || isUnset(field, value) || imported?.attributes[field.name] === null;
    return isMissing ? [] : [[field.name, value] as const];
  });
  let revision: string | undefined;
  return {
    id: raw.id,
    name: text('name'),
    contentType: text('contentType') || 'application/octet-stream',
    sizeBytes: Number(raw[map.sizeBytes] ?? 0),
    sha256: sha256 === '' ? undefined : new Uint8Array(Buffer.from(sha256, 'hex')),
    crc32c: crc32c === '' ? undefined : Number.parseInt(crc32c, 16),
    owner: text('owner'),
    usage: text('usage'),
    relations: Object.fromEntries(relations.filter(([, ids]) => ids.length > 0)),
    attributes: Object.fromEntries(attributes),
    createdBy: text('createdBy'),
    createdFor: text('createdFor'),
    createTime: parseTime(raw[IMPORTED_CREATE_TIME]) ?? time('createTime') ?? new Date(0),
    updateTime: imported?.updateTime ?? time('updateTime') ?? new Date(0),
    deleteTime: time('deleteTime'),
    purgeTime: time('purgeTime'),
    // Computed on access: hashing is half of the work, and callers that only need a URL do not read it.
    get revision() {
      return (revision ??= imported?.revision ?? ownRevision(raw, map));
    },
  };
}

/** How often the service has changed a record; 0 if never. */
export function countOf(raw: RawRecord, map: FieldMap): number {
  return Number(raw[map.revision] ?? 0);
}

/**
 * The count of our changes and a hash of the whole record, so that changes by other programs, which do not count,
 * give another revision too. An imported record has the revision that it had in the other catalog until it changes.
 */
export function revisionOf(raw: RawRecord, map: FieldMap, schema: Schema): string {
  return importedStateOf(raw, map, schema)?.revision ?? ownRevision(raw, map);
}

function ownRevision(raw: RawRecord, map: FieldMap): string {
  const { collectionId: _, collectionName: __, expand: ___, ...all } = raw as Record<string, unknown>;
  // So that revisions stay the same when a migration adds these fields.
  const { [IMPORTED_CREATE_TIME]: ____, [IMPORTED_STATE]: _____, ...state } = all;
  const hash = createHash('sha256').update(canonicalJson(state)).digest('base64url');
  return `${countOf(raw, map)}-${hash.slice(0, 22)}`;
}

/**
 * The body of a request with this change.
 *
 * Throws RELATION_UNKNOWN, ATTRIBUTE_INVALID or CATALOG_REFUSED for values that PocketBase would silently drop or
 * change.
 */
export function toBody(
  change: FileChange & Partial<NewFileRecord>,
  map: FieldMap,
  schema: Schema,
): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  const set = (field: FieldName, value: string | number | undefined) => {
    if (value === undefined) return;
    const target = schema.mapped.get(field);
    const isList = target?.type === 'relation' || target?.type === 'select';
    body[map[field]] = isList ? [value].filter((item) => item !== '') : value;
  };
  set('name', change.name);
  set('contentType', change.contentType);
  set('owner', change.owner);
  set('usage', change.usage);
  set('createdBy', change.createdBy);
  set('createdFor', change.createdFor);
  set('sizeBytes', change.sizeBytes);
  set('sha256', change.sha256 && Buffer.from(change.sha256).toString('hex'));
  set('crc32c', change.crc32c?.toString(16).padStart(8, '0'));
  for (const field of ['deleteTime', 'purgeTime'] as const) {
    const time = change[field];
    if (time !== undefined) set(field, time?.toISOString() ?? '');
  }
  for (const [name, ids] of Object.entries(change.relations ?? {})) {
    const field = schema.relations.get(name);
    if (!field) throw relationUnknown(name);
    if (ids.length > Math.max(1, field.maxSelect ?? 1)) {
      throw valueRefused(`relations.${name}`, 'it has more targets than the catalog takes');
    }
    // Always a list, because PocketBase parses text that looks like JSON.
    body[name] = ids;
  }
  for (const [name, value] of Object.entries(change.attributes ?? {})) {
    const field = schema.attributes.get(name);
    if (!field) throw unknownAttribute(name);
    body[name] = toValue(field, value);
  }
  return body;
}

/**
 * The change without generated attributes (autodate) that it clears or repeats: a caller that replaces all
 * attributes cannot avoid that. Other values stay, to be refused; without `before` all stay.
 */
export function withoutGenerated(
  change: FileChange,
  before: RawRecord | undefined,
  schema: Schema,
): FileChange {
  if (change.attributes === undefined) return change;
  const attributes = Object.entries(change.attributes).filter(([name, value]) => {
    const isGenerated = schema.attributes.get(name)?.type === 'autodate';
    return !isGenerated || (before !== undefined && value !== null && value !== before[name]);
  });
  return { ...change, attributes: Object.fromEntries(attributes) };
}

function isUnset(field: CollectionField, value: JsonValue): boolean {
  return value === null || (field.type !== 'json' && isEmpty(value));
}

function firstOf(value: unknown): string {
  return typeof value === 'number' ? String(value) : (listOf(value)[0] ?? '');
}

/** Parses a time in PocketBase's format; undefined if empty. */
export function parseTime(value: unknown): Date | undefined {
  return typeof value === 'string' && value !== '' ? new Date(value.replace(' ', 'T')) : undefined;
}
