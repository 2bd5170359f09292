import { setupRefused, valueRefused } from '../../errors/dependencies.ts';
import { assertStorable } from '../storable.ts';
import type { TransferredFile } from '../transfer.ts';
import { quote, type BatchRequest, type PocketBaseClient, type RawRecord } from './client.ts';
import { logReplaced } from './change-entries.ts';
import { leftOut, Refusal } from './failures.ts';
import type { PocketBaseFiles } from './files.ts';
import { IMPORTED_CREATE_TIME, IMPORTED_STATE, importedStateFor } from './imported.ts';
import { assertKept, valuesOf, type FilesCollection, type Sent } from './kept.ts';
import { REVISIONS } from './own-collections.ts';
import { countOf, toBody } from './records.ts';
import { isTaken, toAssetError } from './refusals.ts';
import type { Schema } from './schema.ts';

/** Writes and removes records of another catalog. */
export class PocketBaseImports {
  readonly #client: PocketBaseClient;
  readonly #at: FilesCollection;
  readonly #files: PocketBaseFiles;

  constructor(client: PocketBaseClient, at: FilesCollection, files: PocketBaseFiles) {
    [this.#client, this.#at, this.#files] = [client, at, files];
  }

  /** `Transfer.importFile` */
  async write(file: TransferredFile, signal: AbortSignal): Promise<void> {
    const { collection, map, schemas } = this.#at;
    const { record } = file;
    assertStorable(record);
    const names = [...Object.keys(record.relations), ...Object.keys(record.attributes)];
    const schema = await schemas.get([IMPORTED_STATE, ...names], signal);
    if (!schema.takesImports) throw notPrepared(collection);
    const before = await this.#files.read(record.id, signal);
    const sent = { body: this.#bodyOf(file, schema, before === undefined), isNew: !before, schema };
    const { body } = sent;
    const write: BatchRequest = before
      ? { method: 'PATCH', collection, id: record.id, body }
      : { method: 'POST', collection, body: { ...body, id: record.id } };
    const old = before ? await this.#tokensOf(record.id, signal) : [];
    const replaced = before ? [...removed(old), logReplaced(before, countOf(before, map))] : [];
    const raw = await this.#send([...replaced, write], schema, signal);
    try {
      assertKept(sent, raw, this.#at);
    } catch (error) {
      await this.#client.batch(this.#undo(record.id, before, old, sent), signal);
      throw error;
    }
  }

  /** `Transfer.dropFile` */
  async drop(id: string, signal: AbortSignal): Promise<void> {
    const { collection, map } = this.#at;
    const before = await this.#files.read(id, signal);
    if (!before) return;
    const tokens = removed(await this.#tokensOf(id, signal));
    const log = logReplaced(before, countOf(before, map));
    await this.#client.batch([...tokens, log, { method: 'DELETE', collection, id }], signal);
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

  /** The records of `compareAndSet` for a file. Without them the file counts as never changed. */
  #tokensOf(id: string, signal: AbortSignal): Promise<readonly RawRecord[]> {
    const filter = `id>=${quote(`${id}-`)}&&id<${quote(`${id}.`)}`;
    return this.#client.list(REVISIONS, { filter, limit: 100, fields: 'id' }, signal);
  }

  /** Sends requests; the answer to the last one. */
  async #send(requests: readonly BatchRequest[], schema: Schema, signal: AbortSignal): Promise<RawRecord> {
    const { map } = this.#at;
    try {
      const raw = (await this.#client.batch(requests, signal)).at(-1);
      if (!raw) throw leftOut(requests.length - 1);
      return raw;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (isTaken(error, map.requestKey))
        throw valueRefused('request_id', 'another file has the request key of this one', error);
      throw toAssetError(error, map, schema);
    }
  }

  #undo(
    id: string,
    before: RawRecord | undefined,
    tokens: readonly RawRecord[],
    sent: Sent,
  ): readonly BatchRequest[] {
    const { collection } = this.#at;
    if (!before) return [{ method: 'DELETE', collection, id }];
    const again = tokens.map((one) => {
      return { method: 'POST', collection: REVISIONS, body: { id: one.id } } as const;
    });
    return [...again, { method: 'PATCH', collection, id, body: valuesOf(before, sent) }];
  }
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
