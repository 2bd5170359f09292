import type { AssetError } from '../../errors/asset-error.ts';
import { setupRefused, valueRefused } from '../../errors/dependencies.ts';
import { assertStorable } from '../storable.ts';
import { isRefusal, type TransferredFile } from '../transfer.ts';
import { quote, type BatchRequest, type PocketBaseClient, type RawRecord } from './client.ts';
import { logReplaced } from './change-entries.ts';
import { MAX_FILE_REQUESTS } from './creations.ts';
import { isBadRequest, leftOut, Refusal } from './failures.ts';
import type { PocketBaseFiles } from './files.ts';
import { anyOf } from './filter.ts';
import { IMPORTED_CREATE_TIME, IMPORTED_STATE } from './import-fields.ts';
import { importedStateFor } from './imported.ts';
import { assertKept, valuesOf, type FilesCollection, type Sent } from './kept.ts';
import { REVISIONS } from './own-collections.ts';
import { countOf, toBody } from './records.ts';
import { isTaken, toAssetError } from './refusals.ts';
import type { Schema } from './schema.ts';

/** An import of one file. */
interface Import {
  readonly id: string;
  readonly requests: readonly BatchRequest[];
  readonly sent: Sent;
  /** The record that it replaces, and its revisions. */
  readonly before: RawRecord | undefined;
  readonly tokens: readonly RawRecord[];
}

type Refused = Map<string, AssetError>;

/** Writes and removes records of another catalog. */
export class PocketBaseImports {
  readonly #client: PocketBaseClient;
  readonly #at: FilesCollection;
  readonly #files: PocketBaseFiles;

  constructor(client: PocketBaseClient, at: FilesCollection, files: PocketBaseFiles) {
    [this.#client, this.#at, this.#files] = [client, at, files];
  }

  /** `Transfer.importFiles` */
  async write(files: readonly TransferredFile[], signal: AbortSignal): Promise<Refused> {
    const { collection, schemas } = this.#at;
    const names = new Set(
      files.flatMap(({ record }) => [...Object.keys(record.relations), ...Object.keys(record.attributes)]),
    );
    const schema = await schemas.get([IMPORTED_STATE, ...names], signal);
    if (!schema.takesImports) throw notPrepared(collection);
    const ids = files.map(({ record }) => record.id);
    const found = new Map((await this.#files.readMany(ids, signal)).map((raw) => [raw.id, raw]));
    const tokens = await this.#tokensOf([...found.keys()], signal);
    const refused: Refused = new Map();
    const imports = files.flatMap((file) => {
      try {
        return [this.#importOf(file, found.get(file.record.id), tokens, schema)];
      } catch (error) {
        refused.set(file.record.id, refusalIn(error));
        return [];
      }
    });
    for (const group of groupsOf(imports)) await this.#send(group, refused, signal);
    return refused;
  }

  /** `Transfer.dropFile` */
  async drop(id: string, signal: AbortSignal): Promise<void> {
    const { collection, map } = this.#at;
    const before = await this.#files.read(id, signal);
    if (!before) return;
    const tokens = removed(await this.#tokensOf([id], signal));
    const log = logReplaced(before, countOf(before, map));
    await this.#client.batch([...tokens, log, { method: 'DELETE', collection, id }], signal);
  }

  #importOf(
    file: TransferredFile,
    before: RawRecord | undefined,
    allTokens: readonly RawRecord[],
    schema: Schema,
  ): Import {
    const { collection, map } = this.#at;
    const { record } = file;
    assertStorable(record);
    const body = this.#bodyOf(file, schema, before === undefined);
    const sent = { body, isNew: before === undefined, schema };
    const { id } = record;
    if (before === undefined) {
      const write = { method: 'POST', collection, body: { ...body, id } } as const;
      return { id, requests: [write], sent, before, tokens: [] };
    }
    const tokens = allTokens.filter((token) => token.id.startsWith(`${id}-`));
    const write = { method: 'PATCH', collection, id, body } as const;
    const requests = [...removed(tokens), logReplaced(before, countOf(before, map)), write];
    return { id, requests, sent, before, tokens };
  }

  /** All fields of a file; those that it does not have are cleared, or left out for a new record. */
  #bodyOf({ record, requestKey }: TransferredFile, schema: Schema, isNew: boolean): Sent['body'] {
    const { map } = this.#at;
    // Generated attributes cannot be set.
    const isSettable = (name: string) => schema.attributes.get(name)?.type !== 'autodate';
    const attributes = Object.entries(record.attributes).filter(([name]) => isSettable(name));
    const none = [...schema.attributes.keys()].filter(isSettable).map((name) => [name, null] as const);
    const noRelations = [...schema.relations.keys()].map((name) => [name, []] as const);
    const whole = {
      ...record,
      ...{ deleteTime: record.deleteTime ?? null, purgeTime: record.purgeTime ?? null },
      attributes: Object.fromEntries(isNew ? attributes : [...none, ...attributes]),
      relations: isNew ? record.relations : { ...Object.fromEntries(noRelations), ...record.relations },
    };
    const body = {
      ...(isNew && schema.defaults),
      ...{ [map.sha256]: '', [map.crc32c]: '', ...toBody(whole, map, schema) },
      [map.requestKey]: requestKey ?? '',
      [map.revision]: countIn(record.revision),
      [IMPORTED_CREATE_TIME]: record.createTime.toISOString().replace('T', ' '),
    };
    return { ...body, [IMPORTED_STATE]: importedStateFor(record, body, map, schema) };
  }

  /** The records of `compareAndSet` for files. Without them a file counts as never changed. */
  async #tokensOf(ids: readonly string[], signal: AbortSignal): Promise<readonly RawRecord[]> {
    const filters = anyOf(ids.map((id) => `id>=${quote(`${id}-`)}&&id<${quote(`${id}.`)}`));
    const pages = filters.map((filter) =>
      this.#client.list(REVISIONS, { filter, limit: 1_000, fields: 'id' }, signal),
    );
    return (await Promise.all(pages)).flat();
  }

  /** Sends imports in one batch. What a refused one rolls back is sent again without it. */
  async #send(group: readonly Import[], refused: Refused, signal: AbortSignal): Promise<void> {
    if (group.length === 0) return;
    let answers: readonly (RawRecord | undefined)[];
    try {
      answers = await this.#client.batch(
        group.flatMap(({ requests }) => requests),
        signal,
      );
    } catch (error) {
      if (error instanceof Refusal) {
        const at = indexOf(group, error.index);
        refused.set(group[at]!.id, this.#told(error, group[at]!.sent.schema));
        await this.#send(group.slice(0, at), refused, signal);
        return this.#send(group.slice(at + 1), refused, signal);
      }
      // The batch as a whole is too large or too slow for its settings, or a hook failed after the commit.
      if (group.length === 1 || !isBadRequest(error)) throw error;
      for (const one of group) await this.#send([one], refused, signal);
      return;
    }
    let end = 0;
    for (const one of group) {
      end += one.requests.length;
      const reason = await this.#check(one, answers[end - 1], signal);
      if (reason) refused.set(one.id, reason);
    }
  }

  /** Why a record that was written is not as it was sent, if so. It is then as before. */
  async #check(
    one: Import,
    raw: RawRecord | undefined,
    signal: AbortSignal,
  ): Promise<AssetError | undefined> {
    if (raw === undefined) return this.#told(leftOut(0), one.sent.schema);
    try {
      assertKept(one.sent, raw, this.#at);
      return undefined;
    } catch (error) {
      await this.#client.batch(this.#undo(one), signal);
      return refusalIn(error);
    }
  }

  #told(error: Refusal, schema: Schema): AssetError {
    const { map } = this.#at;
    return isTaken(error, map.requestKey)
      ? valueRefused('request_id', 'another file has the request key of this one', error)
      : toAssetError(error, map, schema);
  }

  #undo({ id, before, tokens, sent }: Import): readonly BatchRequest[] {
    const { collection } = this.#at;
    if (!before) return [{ method: 'DELETE', collection, id }];
    const again = tokens.map((one) => {
      return { method: 'POST', collection: REVISIONS, body: { id: one.id } } as const;
    });
    return [...again, { method: 'PATCH', collection, id, body: valuesOf(before, sent) }];
  }
}

/** Imports in batches of so many requests as a migration makes room for. */
function groupsOf(imports: readonly Import[]): readonly (readonly Import[])[] {
  const groups: Import[][] = [];
  let room = 0;
  for (const one of imports) {
    room -= one.requests.length;
    if (room < 0) {
      groups.push([]);
      room = MAX_FILE_REQUESTS - one.requests.length;
    }
    groups.at(-1)!.push(one);
  }
  return groups;
}

/** The import with the request at an index of their batch. */
function indexOf(group: readonly Import[], request: number): number {
  let end = 0;
  return group.findIndex(({ requests }) => request < (end += requests.length));
}

/** The refusal in an error; throws others. */
function refusalIn(error: unknown): AssetError {
  if (isRefusal(error)) return error;
  throw error;
}

function removed(tokens: readonly RawRecord[]): readonly BatchRequest[] {
  return tokens.map(({ id }) => ({ method: 'DELETE', collection: REVISIONS, id }));
}

/** The number at the start of a revision; in every catalog it is the count of changes. */
function countIn(revision: string): number {
  const count = Number.parseInt(revision, 10);
  return Number.isSafeInteger(count + 1) ? count : 0;
}

function notPrepared(collection: string) {
  return setupRefused(
    `The collection "${collection}" has no field for the times of records from another catalog, which PocketBase ` +
      'sets itself. A migration adds them where the PocketBase is one that a catalog is moved to.',
    'create_time',
  );
}
