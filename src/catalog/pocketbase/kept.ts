import { AssetError } from '../../errors.ts';
import type { RawRecord } from './client.ts';
import { contractName } from './refusals.ts';
import { unknownRelation, type FieldMap, type Schema } from './schema.ts';
import { fieldsMissing, type SchemaCache } from './schema-cache.ts';
import { invalidAttribute, isEmpty, isSame, unknownAttribute } from './values.ts';

/** What an answer of PocketBase is compared with. */
export interface Sent {
  /** The body of the request. */
  readonly body: Readonly<Record<string, unknown>>;
  /** True for a new record, in which hooks may fill what was sent empty. */
  readonly isNew: boolean;
  readonly schema: Schema;
}

/** Where the files are, and what their fields are called. */
export interface FilesCollection {
  readonly collection: string;
  readonly map: FieldMap;
  readonly schemas: SchemaCache;
}

/**
 * Throws unless the record has every field of a file. One that PocketBase does not answer was renamed or removed, and
 * would read as empty: a file without owner, not deleted.
 */
export function assertWhole(raw: RawRecord, { collection, map, schemas }: FilesCollection): void {
  const missing = Object.values(map).filter((field) => !(field in raw));
  if (missing.length === 0) return;
  schemas.clear();
  throw fieldsMissing(collection, map, missing);
}

/**
 * Throws if the record has no field for something that is sent: PocketBase drops it without a word.
 *
 * RELATION_UNKNOWN or ATTRIBUTE_INVALID, where it is not one of {@link assertWhole}.
 */
export function assertTaken(sent: Sent, raw: RawRecord, files: FilesCollection): void {
  assertWhole(raw, files);
  const missing = Object.keys(sent.body).find((name) => !(name in raw));
  if (missing === undefined) return;
  files.schemas.clear();
  throw sent.schema.relations.has(missing) ? unknownRelation(missing) : unknownAttribute(missing);
}

/**
 * Throws unless the answered record has what was sent. Hooks may fill in what was left out, and refuse; what they change
 * of a caller's values is told as CATALOG_REFUSED or ATTRIBUTE_INVALID, since the caller would take it for kept.
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
      throw invalidAttribute(name, 'a rule of the product keeps another value than was sent', cause);
    }
    const ourName = ours.get(name);
    const path = ourName === undefined ? `relations.${name}` : contractName(ourName);
    const message = `The catalog refuses "${path}": a rule of the product keeps another value than was sent.`;
    throw new AssetError('CATALOG_REFUSED', message, { metadata: { field: path }, cause });
  }
}
