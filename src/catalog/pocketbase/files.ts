import { branchesOf, mergePages, type Branch } from '../list-branches.ts';
import type {
  FileCatalog,
  FileRecord,
  PurgeableFile,
  SweepCursor,
  TransferredFile,
} from '../file-catalog.ts';
import { quote, type PocketBaseClient, type RawRecord } from './client.ts';
import { ContentTypes } from './content-types.ts';
import { isBadRequest } from './failures.ts';
import {
  anyOf,
  behind,
  clockOf,
  equals,
  idFilters,
  listFilter,
  MAX_IDS,
  quoteTime,
  superuserOnly,
  type PageFilter,
} from './filter.ts';
import { assertWhole, type FilesCollection } from './kept.ts';
import { countOf, revisionOf, toFile } from './records.ts';
import { timeOf } from './reservations.ts';
import type { FieldMap, Schema } from './schema.ts';
import type { SchemaCache } from './schema-cache.ts';
import { canMatch } from '../storable.ts';
import { relationUnknown } from '../../errors/fields.ts';

/** Reads the records of the collection of files. */
export class PocketBaseFiles {
  readonly #client: PocketBaseClient;
  readonly #at: FilesCollection;
  readonly #map: FieldMap;
  readonly #schemas: SchemaCache;
  readonly #types: ContentTypes;

  constructor(client: PocketBaseClient, at: FilesCollection) {
    this.#client = client;
    [this.#at, this.#map, this.#schemas] = [at, at.map, at.schemas];
    this.#types = new ContentTypes(this.#map.contentType);
  }

  /** Files by their ids. */
  async get(ids: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, FileRecord>> {
    const pages = await Promise.all(idFilters(ids).map((filter) => this.#find({ filter }, signal)));
    return new Map(pages.flat().map((file) => [file.id, file]));
  }

  /** One page of files, newest first. */
  async list(query: Parameters<FileCatalog['list']>[0], signal: AbortSignal): Promise<readonly FileRecord[]> {
    if (!canMatch(query.filter) || query.limit < 1) return [];
    const { relation } = query.filter;
    const named = [relation, ...(query.visibleTo ?? []).map((part) => part.relation)];
    const schema = await this.#schemas.get(
      named.flatMap((one) => one?.name ?? []),
      signal,
    );
    if (relation && !schema.relations.has(relation.name)) throw relationUnknown(relation.name);
    const visible = query.visibleTo?.filter(
      (one) => !one.relation || schema.relations.has(one.relation.name),
    );
    // One request per branch: with an "or" SQLite would sort all matches for every page.
    const pages = await Promise.all(
      branchesOf(query.filter, visible).map((branch) => this.#pageOf(branch, query, schema, signal)),
    );
    return pages.length === 1 ? pages[0]! : mergePages(pages, query.limit);
  }

  /** The first files of a branch, in order. */
  async #pageOf(
    branch: Branch,
    query: PageFilter & { readonly limit: number },
    schema: Schema,
    signal: AbortSignal,
  ): Promise<readonly FileRecord[]> {
    const find = async (page: PageFilter) => {
      // Imported files have their own time of creation, in another field.
      const parts = schema.takesImports ? [true, false].map((imported) => ({ ...page, imported })) : [page];
      const pages = await Promise.all(
        parts.map((part) => {
          const filter = listFilter(branch, part, this.#map, schema);
          return this.#find({ filter, sort: `-${clockOf(part, this.#map)},-id`, limit: query.limit }, signal);
        }),
      );
      return pages.length === 1 ? pages[0]! : mergePages(pages, query.limit);
    };
    const { contentType, owner, relation } = branch.filter;
    // Files of one relation are read in order, whatever their type.
    if (contentType === undefined || relation !== undefined) return find(query);
    const ofOwner =
      owner === undefined ? '' : `${equals(this.#map.owner, schema.mapped.get('owner'), owner)}&&`;
    const types = await this.#types.meantBy(contentType.toLowerCase(), async (conditions) => {
      // With the owner in each condition SQLite uses an index for each.
      const filters = anyOf(conditions.map((condition) => ofOwner + condition));
      const found = await Promise.all(filters.map((filter) => this.#list({ filter, limit: 1 }, signal)));
      const first = found.flat()[0];
      return first && String(first[this.#map.contentType]);
    });
    if (types === undefined) return find(query);
    const pages = await Promise.all(types.map((wholeType) => find({ ...query, wholeType })));
    return pages.length === 1 ? pages[0]! : mergePages(pages, query.limit);
  }

  /** Soft-deleted files due after `behind`, those due longest first. */
  async listPurgeable(
    now: Date,
    limit: number,
    after: SweepCursor | undefined,
    signal: AbortSignal,
  ): Promise<readonly PurgeableFile[]> {
    const { deleteTime, purgeTime } = this.#map;
    const due = `${purgeTime}!=""&&${purgeTime}<=${quoteTime(now)}&&${deleteTime}!=""`;
    const filter = due + behind(purgeTime, after);
    const raws = await this.#list({ filter, sort: `${purgeTime},id`, limit }, signal);
    const [first] = raws;
    if (!first) return [];
    const schema = await this.#schemaOf(first, signal);
    return raws.map((raw) => ({
      id: raw.id,
      revision: revisionOf(raw, this.#map, schema),
      purgeTime: timeOf(raw[purgeTime]),
    }));
  }

  /** The file that was created with a request key. */
  async findByKey(requestKey: string, signal: AbortSignal): Promise<FileRecord | undefined> {
    const field = this.#map.requestKey;
    // The index has only non-empty keys, and SQLite uses it only if the filter says so.
    const filter = `${field}!=""&&${field}=${quote(requestKey)}`;
    return (await this.#find({ filter, limit: 1 }, signal))[0];
  }

  /** The stored record with this id. */
  async read(id: string, signal: AbortSignal): Promise<RawRecord | undefined> {
    const [filter] = idFilters([id]);
    return filter === undefined ? undefined : (await this.#list({ filter, limit: 1 }, signal))[0];
  }

  /** The stored records with these ids. */
  async readMany(ids: readonly string[], signal: AbortSignal): Promise<readonly RawRecord[]> {
    return (await Promise.all(idFilters(ids).map((filter) => this.#list({ filter }, signal)))).flat();
  }

  /** The next stored records after an id, in id order. */
  readBehind(id: string, limit: number, signal: AbortSignal): Promise<readonly RawRecord[]> {
    return this.#list({ filter: `id>${quote(id)}`, sort: 'id', limit }, signal);
  }

  /** The next files after an id, with their request keys. */
  async exportFiles(after: string, limit: number, signal: AbortSignal): Promise<readonly TransferredFile[]> {
    return this.#transferred(await this.readBehind(after, limit, signal), signal);
  }

  /** The files with these ids, with their request keys. */
  async exportOnly(ids: readonly string[], signal: AbortSignal): Promise<readonly TransferredFile[]> {
    return this.#transferred(await this.readMany(ids, signal), signal);
  }

  #transferred(raws: readonly RawRecord[], signal: AbortSignal): Promise<readonly TransferredFile[]> {
    return Promise.all(
      raws.map(async (raw) => {
        const requestKey = (raw[this.#map.requestKey] as string | undefined) ?? '';
        const record = await this.toFile(raw, signal);
        return { record, ...(requestKey !== '' && { requestKey }) };
      }),
    );
  }

  /** How often the service has changed a record. */
  countOf(raw: RawRecord): number {
    return countOf(raw, this.#map);
  }

  /** The file in a record. */
  async toFile(raw: RawRecord, signal: AbortSignal): Promise<FileRecord> {
    return toFile(raw, this.#map, await this.#schemaOf(raw, signal));
  }

  async #find(
    query: { readonly filter: string; readonly sort?: string; readonly limit?: number },
    signal: AbortSignal,
  ): Promise<FileRecord[]> {
    const raws = await this.#list(query, signal);
    const [first] = raws;
    if (!first) return [];
    // All records of one response have the same fields.
    const schema = await this.#schemaOf(first, signal);
    return raws.map((raw) => toFile(raw, this.#map, schema));
  }

  #schemaOf(raw: RawRecord, signal: AbortSignal): Promise<Schema> {
    const names = Object.keys(raw).filter((name) => name !== 'collectionId' && name !== 'collectionName');
    return this.#schemas.get(names, signal);
  }

  async #list(
    query: { readonly filter: string; readonly sort?: string; readonly limit?: number },
    signal: AbortSignal,
  ): Promise<readonly RawRecord[]> {
    const filter = `${superuserOnly(this.#map)}&&(${query.filter})`;
    const limit = query.limit ?? MAX_IDS;
    try {
      const raws = await this.#client.list(this.#at.collection, { ...query, filter, limit }, signal);
      // All records of one response have the same fields.
      if (raws[0]) assertWhole(raws[0], this.#at);
      return raws;
    } catch (error) {
      // PocketBase refuses a filter with a missing field without saying so.
      if (isBadRequest(error)) await this.#schemas.read(signal);
      throw error;
    }
  }
}
