import { valueRefused } from '../../errors/dependencies.ts';
import { attributeInvalid, relationUnknown } from '../../errors/fields.ts';
import type { RawRecord } from './client.ts';
import { contractName } from './refusals.ts';
import type { FieldMap, Schema } from './schema.ts';
import { fieldsMissing, type SchemaCache } from './schema-cache.ts';
import { isEmpty, isSame, unknownAttribute } from './values.ts';

const KEEPS_ANOTHER = 'a rule of the product keeps another value than was sent';

/** What was sent, to compare with PocketBase's response. */
export interface Sent {
  /** The body of the request. */
  readonly body: Readonly<Record<string, unknown>>;
  /** True for a new record: hooks may fill its empty fields. */
  readonly isNew: boolean;
  readonly schema: Schema;
}

/** The collection of files and its field names. */
export interface FilesCollection {
  readonly collection: string;
  readonly map: FieldMap;
  readonly schemas: SchemaCache;
}

/**
 * Throws unless the record has every field of a file. A missing field was renamed or removed and would read as
 * empty: a file without owner, not deleted.
 */
export function assertWhole(raw: RawRecord, { collection, map, schemas }: FilesCollection): void {
  const missing = Object.values(map).filter((field) => !(field in raw));
  if (missing.length === 0) return;
  schemas.clear();
  throw fieldsMissing(collection, map, missing);
}

/**
 * Throws if the record has no field for something that was sent: PocketBase drops it silently.
 *
 * RELATION_UNKNOWN or ATTRIBUTE_INVALID, unless {@link assertWhole} covers the field.
 */
export function assertTaken(sent: Sent, raw: RawRecord, files: FilesCollection): void {
  assertWhole(raw, files);
  const missing = Object.keys(sent.body).find((name) => !(name in raw));
  if (missing === undefined) return;
  files.schemas.clear();
  throw sent.schema.relations.has(missing) ? relationUnknown(missing) : unknownAttribute(missing);
}

/**
 * Throws unless the returned record has what was sent. Hooks may fill what was omitted, and refuse. A changed value
 * of the caller is CATALOG_REFUSED or ATTRIBUTE_INVALID, because the caller would believe that it was kept.
 */
export function assertKept(sent: Sent, raw: RawRecord, files: FilesCollection): void {
  assertTaken(sent, raw, files);
  const { body, isNew, schema } = sent;
  const ours = new Map(Object.entries(files.map).map(([name, field]) => [field, name]));
  const mapped = new Map([...schema.mapped.values()].map((field) => [field.name, field]));
  for (const [name, value] of Object.entries(body)) {
    const field = mapped.get(name) ?? schema.relations.get(name) ?? schema.attributes.get(name);
    if ((isNew && isEmpty(value)) || isSame(field, value, raw[name])) continue;
    const cause = new Error(`PocketBase kept another value of "${files.collection}.${name}" than was sent`);
    if (schema.attributes.has(name)) {
      throw attributeInvalid(name, KEEPS_ANOTHER, { cause });
    }
    const ourName = ours.get(name);
    const path = ourName === undefined ? `relations.${name}` : contractName(ourName);
    throw valueRefused(path, KEEPS_ANOTHER, cause);
  }
}

/** The previous values of the sent fields, in the form in which they are sent. */
export function valuesOf(raw: RawRecord, { body, schema }: Sent): Record<string, unknown> {
  return Object.fromEntries(
    Object.keys(body).map((name) => {
      const value = raw[name];
      const isJson = schema.attributes.get(name)?.type === 'json';
      return [name, isJson && typeof value === 'string' ? JSON.stringify(value) : value];
    }),
  );
}
