import type { FileChange, FileDescription, JsonValue } from '../catalog/file-catalog.ts';
import type { AssetError } from '../errors/asset-error.ts';
import { fieldNotWritable, fieldUnknown } from '../errors/fields.ts';

const WRITABLE = ['name', 'content_type', 'owner', 'usage', 'relations', 'attributes'] as const;
const SET_BY_SERVICE = [
  'id',
  'size_bytes',
  'checksums',
  'etag',
  'create_time',
  'update_time',
  'delete_time',
  'purge_time',
  'created_by',
];

type Changes = {
  -readonly [Key in keyof FileDescription]?: FileDescription[Key];
} & { relations?: Record<string, readonly string[]>; attributes?: Record<string, JsonValue> };

/**
 * The change in an update mask (AIP-134). A null attribute or an empty relation in `wanted` is cleared.
 *
 * JSON changes masks: it writes `page_count` for `attributes.pageCount`. If exactly one name in `wanted` or in the
 * record becomes that path, it is meant.
 *
 * @param current - the current description, whose `relations` or `attributes` may be replaced as a whole
 * @param wanted - the description with the new values
 * @param paths - the mask; empty means every non-empty field of `wanted`
 * @throws AssetError FIELD_UNKNOWN, FIELD_NOT_WRITABLE
 */
export function changeFromMask(
  current: FileDescription,
  wanted: FileDescription,
  paths: readonly string[],
): FileChange {
  const change: Changes = {};
  // JSON leaves no capital in a mask.
  const mayBeBent = !paths.some((path) => /[A-Z]/.test(path));
  for (const path of expand(wanted, paths)) applyPath(change, { current, wanted, mayBeBent }, path);
  return change;
}

function expand(wanted: FileDescription, paths: readonly string[]): readonly string[] {
  if (paths.length === 0) return WRITABLE.filter((field) => !isEmpty(wanted, field));
  return paths.flatMap((path) => (path === '*' ? WRITABLE : [path]));
}

function isEmpty(wanted: FileDescription, field: (typeof WRITABLE)[number]): boolean {
  if (field === 'relations') return Object.values(wanted.relations).every((ids) => ids.length === 0);
  if (field === 'attributes') return Object.values(wanted.attributes).every((value) => value === null);
  return wanted[field === 'content_type' ? 'contentType' : field] === '';
}

interface Asked {
  readonly current: FileDescription;
  readonly wanted: FileDescription;
  /** True if the mask may have been written in JSON. */
  readonly mayBeBent: boolean;
}

function applyPath(change: Changes, asked: Asked, path: string): void {
  const { current, wanted } = asked;
  const [field, name] = splitPath(path);
  if (field === 'relations' && name !== undefined) {
    const meant = meantBy(path, name, asked, 'relations');
    change.relations = { ...change.relations, [meant]: own(wanted.relations, meant) ?? [] };
    return;
  }
  if (field === 'attributes' && name !== undefined) {
    const meant = meantBy(path, name, asked, 'attributes');
    change.attributes = { ...change.attributes, [meant]: own(wanted.attributes, meant) ?? null };
    return;
  }
  switch (path) {
    case 'name':
    case 'owner':
    case 'usage':
      change[path] = wanted[path];
      return;
    case 'content_type':
      change.contentType = wanted.contentType;
      return;
    case 'relations':
      change.relations = { ...blank(current.relations, []), ...wanted.relations };
      return;
    case 'attributes':
      change.attributes = { ...blank(current.attributes, null), ...wanted.attributes };
      return;
    default:
      throw refuse(path, field);
  }
}

/** The name meant by the last part of a path: in the request or, if it has none, in the record. */
function meantBy(path: string, name: string, asked: Asked, field: 'relations' | 'attributes'): string {
  const fits = (one: string) => one === name || (asked.mayBeBent && toSnakeCase(one) === name);
  for (const names of [asked.wanted[field], asked.current[field]]) {
    const [meant, other] = Object.keys(names).filter(fits);
    if (other !== undefined) throw ambiguous(path, field, [meant!, other]);
    if (meant !== undefined) return meant;
  }
  throw refuse(path, field);
}

/** The name as JSON changes it in a mask: https://protobuf.dev/reference/protobuf/google.protobuf/#field-mask. */
function toSnakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function splitPath(path: string): readonly [string, string | undefined] {
  const dot = path.indexOf('.');
  return dot < 0 ? [path, undefined] : [path.slice(0, dot), path.slice(dot + 1)];
}

function own<Value>(values: Readonly<Record<string, Value>>, name: string): Value | undefined {
  return Object.hasOwn(values, name) ? values[name] : undefined;
}

function blank<Value>(names: object, value: Value): Record<string, Value> {
  return Object.fromEntries(Object.keys(names).map((name) => [name, value]));
}

function ambiguous(path: string, field: string, names: readonly string[]): AssetError {
  const meant = names.map((name) => `${field}.${name}`).join(' or ');
  return fieldUnknown(path, `may mean ${meant}: name one alone in file`);
}

function refuse(path: string, field: string): AssetError {
  if (SET_BY_SERVICE.includes(field)) {
    return fieldNotWritable(path, `only the service sets ${field}: leave it out of update_mask`);
  }
  const problem =
    field === 'relations' || field === 'attributes'
      ? 'names what neither file nor the record has: set it in file, or correct the name'
      : `names no field: use ${WRITABLE.join(', ')}, relations.<name>, attributes.<name> or *`;
  return fieldUnknown(path, problem);
}
