import type { FileRecord } from './file-catalog.ts';
import { quote, type PocketBaseClient, type RawRecord } from './pocketbase-client.ts';
import { idFilters, MAX_IDS, superuserOnly } from './pocketbase-filter.ts';
import { toFile } from './pocketbase-records.ts';
import type { FieldMap, Schema } from './pocketbase-schema.ts';
import type { SchemaCache } from './pocketbase-schema-cache.ts';

/** Reads the records of the collection of files. */
export class PocketBaseFiles {
  readonly #client: PocketBaseClient;
  readonly #collection: string;
  readonly #map: FieldMap;
  readonly #schemas: SchemaCache;

  constructor(client: PocketBaseClient, collection: string, map: FieldMap, schemas: SchemaCache) {
    this.#client = client;
    this.#collection = collection;
    this.#map = map;
    this.#schemas = schemas;
  }

  /** The files that a filter finds. */
  async find(
    query: { readonly filter: string; readonly sort?: string; readonly limit?: number },
    signal: AbortSignal,
  ): Promise<FileRecord[]> {
    const raws = await this.#list(query, signal);
    const [first] = raws;
    if (!first) return [];
    // All records of one answer have the same fields.
    const schema = await this.#schemaOf(first, signal);
    return raws.map((raw) => toFile(raw, this.#map, schema));
  }

  /** The file that was created with a request key. */
  async findByKey(requestKey: string, signal: AbortSignal): Promise<FileRecord | undefined> {
    const field = this.#map.requestKey;
    // Its index holds the keys that are not empty, and is read only where the filter says so.
    const filter = `${field}!=""&&${field}=${quote(requestKey)}`;
    return (await this.find({ filter, limit: 1 }, signal))[0];
  }

  /** The record of an id, as it is stored. */
  async read(id: string, signal: AbortSignal): Promise<RawRecord | undefined> {
    const [filter] = idFilters([id]);
    return filter === undefined ? undefined : (await this.#list({ filter, limit: 1 }, signal))[0];
  }

  /** The file that a record says. */
  async toFile(raw: RawRecord, signal: AbortSignal): Promise<FileRecord> {
    return toFile(raw, this.#map, await this.#schemaOf(raw, signal));
  }

  #schemaOf(raw: RawRecord, signal: AbortSignal): Promise<Schema> {
    const names = Object.keys(raw).filter((name) => name !== 'collectionId' && name !== 'collectionName');
    return this.#schemas.get(names, signal);
  }

  #list(
    query: { readonly filter: string; readonly sort?: string; readonly limit?: number },
    signal: AbortSignal,
  ): Promise<readonly RawRecord[]> {
    const filter = `${superuserOnly(this.#map)}&&(${query.filter})`;
    return this.#client.list(this.#collection, { ...query, filter, limit: query.limit ?? MAX_IDS }, signal);
  }
}
