import type { FileChange, FileDescription, JsonValue } from '../catalog/file-catalog.ts';
import { AssetError } from '../errors.ts';

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
 * The change that an update mask asks for (AIP-134).
 *
 * @param current - the description as it is, which a whole `relations` or `attributes` replaces
 * @param wanted - the description with the new values
 * @param paths - the mask; empty for every field of `wanted` that is not empty
 * @throws AssetError FIELD_UNKNOWN, FIELD_NOT_WRITABLE
 */
export function changeFromMask(
  current: FileDescription,
  wanted: FileDescription,
  paths: readonly string[],
): FileChange {
  const change: Changes = {};
  for (const path of expand(wanted, paths)) applyPath(change, current, wanted, path);
  return change;
}

function expand(wanted: FileDescription, paths: readonly string[]): readonly string[] {
  if (paths.length === 0) return WRITABLE.filter((field) => !isEmpty(wanted, field));
  return paths.flatMap((path) => (path === '*' ? WRITABLE : [path]));
}

function isEmpty(wanted: FileDescription, field: (typeof WRITABLE)[number]): boolean {
  if (field === 'relations' || field === 'attributes') return Object.keys(wanted[field]).length === 0;
  return wanted[field === 'content_type' ? 'contentType' : field] === '';
}

function applyPath(change: Changes, current: FileDescription, wanted: FileDescription, path: string): void {
  const [field, name] = splitPath(path);
  if (name !== undefined && name !== '') {
    if (field === 'relations') {
      change.relations = { ...change.relations, [name]: own(wanted.relations, name) ?? [] };
      return;
    }
    if (field === 'attributes') {
      change.attributes = { ...change.attributes, [name]: own(wanted.attributes, name) ?? null };
      return;
    }
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

function refuse(path: string, field: string): AssetError {
  const metadata = { field: path };
  return SET_BY_SERVICE.includes(field)
    ? new AssetError('FIELD_NOT_WRITABLE', `only the service sets ${field}: leave it out of update_mask`, {
        metadata,
      })
    : new AssetError(
        'FIELD_UNKNOWN',
        `update_mask names no field with "${path}": use ${WRITABLE.join(', ')}, relations.<name>, attributes.<name> or *`,
        { metadata },
      );
}
