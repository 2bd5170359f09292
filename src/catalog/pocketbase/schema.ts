import type { JsonValue } from '../file-catalog.ts';
import { FIELDS, type FieldName } from './field-map.ts';
import type { Collection, CollectionField, PocketBaseSetup } from './collection.ts';
import { unfillableFields, type Mistake } from './fillable.ts';
import { IMPORT_FIELDS } from './import-fields.ts';

export { RULES } from './collection.ts';
export type { Collection, CollectionField, PocketBaseSetup } from './collection.ts';
export type { FieldMap, FieldName } from './field-map.ts';

/** The role of each field of the collection. */
export interface Schema {
  /** Name of the collection. */
  readonly collection: string;
  /** The collection's fields for parts of a record. */
  readonly mapped: ReadonlyMap<FieldName, CollectionField>;
  /** Relation fields by name of the relation. */
  readonly relations: ReadonlyMap<string, CollectionField>;
  /** All other fields that are not hidden. */
  readonly attributes: ReadonlyMap<string, CollectionField>;
  /** Names of all fields. */
  readonly names: ReadonlySet<string>;
  /** Default values of a new record. */
  readonly defaults: Readonly<Record<string, JsonValue>>;
  /** True if it has the fields for records of another catalog. */
  readonly takesImports: boolean;
  /** Required fields that no new record can fill. */
  readonly unfillable: readonly Mistake[];
}

const NEVER_ATTRIBUTES = new Set(['file', 'password']);

/** Parses a schema; hidden fields in the setup have legacy links and are not part of a file. */
export function readSchema(collection: Collection, setup: PocketBaseSetup): Schema {
  const { map, hiddenFields } = setup;
  const byName = new Map(collection.fields.map((field) => [field.name, field]));
  const imports = IMPORT_FIELDS.map(({ name }) => name);
  const taken = new Set<string>(['id', ...imports, ...hiddenFields, ...Object.values(map)]);
  const further = collection.fields.filter(
    ({ name, type, hidden }) => !taken.has(name) && !hidden && !NEVER_ATTRIBUTES.has(type),
  );
  const mapped = FIELDS.flatMap((ours) => {
    const field = byName.get(map[ours]);
    return field ? [[ours, field] as const] : [];
  });
  const named = (fields: CollectionField[]) => new Map(fields.map((field) => [field.name, field]));
  const defaults = Object.entries(setup.defaults).map(([name, value]) => {
    // PocketBase would parse text that looks like JSON.
    const isJsonText = byName.get(name)?.type === 'json' && typeof value === 'string';
    return [name, isJsonText ? JSON.stringify(value) : value] as const;
  });
  return {
    collection: collection.name,
    mapped: new Map(mapped),
    relations: named(further.filter((field) => field.type === 'relation')),
    attributes: named(further.filter((field) => field.type !== 'relation')),
    names: new Set(byName.keys()),
    defaults: Object.fromEntries(defaults),
    takesImports: takesImports(collection),
    unfillable: unfillableFields(collection, setup),
  };
}

/** True if the collection has the fields for records of another catalog. */
export function takesImports({ fields }: Pick<Collection, 'fields'>): boolean {
  return IMPORT_FIELDS.every((one) => fields.some(({ name }) => name === one.name));
}

/** True if a relation or select field has a list. */
export function isMultiple(field: CollectionField): boolean {
  return (field.type === 'relation' || field.type === 'select') && (field.maxSelect ?? 1) > 1;
}
