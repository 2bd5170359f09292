import type { AssetError } from '../../errors/asset-error.ts';
import { catalogUnavailable } from '../../errors/dependencies.ts';
import { SetupFault } from '../../errors/setup-fault.ts';
import { readSchema, type Collection, type FieldMap, type PocketBaseSetup, type Schema } from './schema.ts';

const MAX_AGE_MS = 60_000;

/** Minimum age before another read, because unknown names would otherwise cause one with every call. */
const MIN_AGE_MS = 1_000;

/**
 * The collection's schema, read once a minute, and earlier for an unknown name, because people add fields while the
 * service runs.
 */
export class SchemaCache {
  readonly #read: (signal: AbortSignal) => Promise<Collection | undefined>;
  readonly #setup: PocketBaseSetup;
  #schema: Schema | undefined;
  #readAt = 0;
  #reading: Promise<Schema> | undefined;

  constructor(read: (signal: AbortSignal) => Promise<Collection | undefined>, setup: PocketBaseSetup) {
    this.#read = read;
    this.#setup = setup;
  }

  /**
   * The schema; read again if it does not have one of `names`. Rejects with CATALOG_UNAVAILABLE, whose cause names
   * it, if the collection or a field of a file is missing.
   */
  async get(names: readonly string[], signal: AbortSignal): Promise<Schema> {
    const age = Date.now() - this.#readAt;
    const schema = this.#schema;
    if (schema && age < MAX_AGE_MS) {
      if (age < MIN_AGE_MS || names.every((name) => schema.names.has(name))) return schema;
    }
    signal.throwIfAborted();
    this.#reading ??= this.#refresh().finally(() => (this.#reading = undefined));
    return this.#reading;
  }

  /** The current schema. Rejects like {@link get}. */
  read(signal: AbortSignal): Promise<Schema> {
    this.clear();
    return this.get([], signal);
  }

  /** Forces the next call to read the schema. */
  clear(): void {
    this.#schema = undefined;
  }

  async #refresh(): Promise<Schema> {
    // Shared by all waiting calls, so it must not end when one of them is cancelled.
    const collection = await this.#read(AbortSignal.timeout(8_000));
    const { collection: name, map } = this.#setup;
    if (!collection)
      throw catalogUnavailable(new SetupFault('collection', `PocketBase has no collection "${name}"`));
    const schema = readSchema(collection, this.#setup);
    const missing = Object.values(map).filter((field) => !schema.names.has(field));
    if (missing.length > 0) throw fieldsMissing(name, map, missing);
    this.#schema = schema;
    this.#readAt = Date.now();
    return schema;
  }
}

/** Fields that only the migration of the service adds. A collection with none of them was never migrated. */
const ADDED = ['sha256', 'crc32c', 'createdBy', 'createdFor', 'requestKey', 'revision'] as const;

/** The error if the collection has lost fields of a file, or never had them. The cause, for the log, names them. */
export function fieldsMissing(collection: string, map: FieldMap, missing: readonly string[]): AssetError {
  if (ADDED.every((field) => missing.includes(map[field]))) {
    const text = `the collection "${collection}" of PocketBase does not have the fields of the service yet`;
    return catalogUnavailable(new SetupFault('schema', text));
  }
  const named = missing.map((field) => {
    const ours = Object.entries(map).find(([, mapped]) => mapped === field)?.[0];
    return `"${field}" (${ours})`;
  });
  return catalogUnavailable(
    new Error(
      `the collection "${collection}" of PocketBase has no field ${named.join(', ')}: ` +
        'give it its name back, or set ASSET_POCKETBASE_FIELDS',
    ),
  );
}
