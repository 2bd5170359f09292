import { AssetError } from '../../errors.ts';

/** What a record says of a file, each under a field of the collection. */
const FIELDS = [
  ...(['name', 'contentType', 'sizeBytes', 'sha256', 'crc32c', 'owner', 'usage', 'createdBy'] as const),
  ...([
    'createdFor',
    'createTime',
    'updateTime',
    'deleteTime',
    'purgeTime',
    'requestKey',
    'revision',
  ] as const),
] as const;

/** A name of ours. */
export type FieldName = (typeof FIELDS)[number];

/** The collection's name for each of ours. */
export type FieldMap = Readonly<Record<FieldName, string>>;

const DEFAULTS: FieldMap = {
  name: 'name',
  contentType: 'content_type',
  sizeBytes: 'size_bytes',
  sha256: 'sha256',
  crc32c: 'crc32c',
  owner: 'owner',
  usage: 'usage',
  createdBy: 'created_by',
  createdFor: 'created_for',
  createTime: 'created',
  updateTime: 'updated',
  deleteTime: 'delete_time',
  purgeTime: 'purge_time',
  requestKey: 'request_key',
  revision: 'revision',
};

/** A field of a collection, as PocketBase describes it. */
export interface CollectionField {
  readonly id?: string;
  readonly name: string;
  readonly type: string;
  readonly hidden?: boolean;
  readonly required?: boolean;
  readonly system?: boolean;
  readonly maxSelect?: number;
  readonly [option: string]: unknown;
}

/** A collection, as PocketBase describes it. */
export interface Collection {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly fields: readonly CollectionField[];
  readonly indexes: readonly string[];
}

/**
 * Our names to those of the collection. Keys may be written as in the contract (`content_type`) or as in the
 * records (`contentType`).
 *
 * @throws TypeError for a name that is none of ours, and for a field that is named twice
 */
export function fieldMap(names: Readonly<Record<string, string>>): FieldMap {
  const map: Record<string, string> = { ...DEFAULTS };
  for (const [key, field] of Object.entries(names)) {
    const ours = key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
    if (!Object.hasOwn(DEFAULTS, ours)) throw new TypeError(`${key} is no field of a file`);
    map[ours] = field;
  }
  const fields = Object.values(map);
  const twice = fields.find((field, i) => fields.indexOf(field) !== i);
  if (twice !== undefined) throw new TypeError(`two fields of a file are mapped to ${twice}`);
  return map as FieldMap;
}

/** What the fields of the collection are to a file. */
export interface Schema {
  /** The collection's fields for ours. */
  readonly mapped: ReadonlyMap<FieldName, CollectionField>;
  /** Relation fields by the relation's name. */
  readonly relations: ReadonlyMap<string, CollectionField>;
  /** Every further field that the collection does not hide. */
  readonly attributes: ReadonlyMap<string, CollectionField>;
  /** Names of all fields. */
  readonly names: ReadonlySet<string>;
}

const NEVER_ATTRIBUTES = new Set(['file', 'password']);

/** Reads a schema; `hiddenFields` hold legacy links and are nothing to a file. */
export function readSchema(collection: Collection, map: FieldMap, hiddenFields: readonly string[]): Schema {
  const byName = new Map(collection.fields.map((field) => [field.name, field]));
  const taken = new Set<string>(['id', ...hiddenFields, ...Object.values(map)]);
  const further = collection.fields.filter(
    ({ name, type, hidden }) => !taken.has(name) && !hidden && !NEVER_ATTRIBUTES.has(type),
  );
  const mapped = FIELDS.flatMap((ours) => {
    const field = byName.get(map[ours]);
    return field ? [[ours, field] as const] : [];
  });
  const named = (fields: CollectionField[]) => new Map(fields.map((field) => [field.name, field]));
  return {
    mapped: new Map(mapped),
    relations: named(further.filter((field) => field.type === 'relation')),
    attributes: named(further.filter((field) => field.type !== 'relation')),
    names: new Set(byName.keys()),
  };
}

/** True if a relation or select field holds a list. */
export function isMultiple(field: CollectionField): boolean {
  return (field.type === 'relation' || field.type === 'select') && (field.maxSelect ?? 1) > 1;
}

/** How an unknown relation is refused. */
export function unknownRelation(relation: string): AssetError {
  return new AssetError('RELATION_UNKNOWN', `The catalog has no relation "${relation}".`, {
    metadata: { relation },
  });
}
