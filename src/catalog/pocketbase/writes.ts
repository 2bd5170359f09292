import { isAssetError } from '../../errors/asset-error.ts';
import { catalogUnavailable } from '../../errors/dependencies.ts';
import { concurrentChange, fileNotFound } from '../../errors/records.ts';
import { uploadExpired } from '../../errors/uploads.ts';
import type { CreateFence, FileCatalog, FileChange, FileRecord, NewFileRecord } from '../file-catalog.ts';
import type { MovedBytes } from '../legacy-records.ts';
import type { BatchRequest, PocketBaseClient, RawRecord } from './client.ts';
import { logPurged, logUpdated } from './change-entries.ts';
import { PocketBaseCreations } from './creations.ts';
import { isBadRequest, Refusal } from './failures.ts';
import type { PocketBaseFiles } from './files.ts';
import { setupError } from './fillable.ts';
import { IMPORTED_STATE } from './import-fields.ts';
import { assertKept, assertTaken, valuesOf, type FilesCollection, type Sent } from './kept.ts';
import { countOf, parseTime, revisionOf, toBody, withoutGenerated } from './records.ts';
import { isTaken, toAssetError } from './refusals.ts';
import { replaceFile } from './reservations.ts';
import { compareAndSet } from './revisions.ts';
import type { Schema } from './schema.ts';

/**
 * Writes records of the collection of files. Compares the response with what was sent, and undoes the write if it
 * differs.
 */
export class PocketBaseWrites {
  readonly #client: PocketBaseClient;
  readonly #at: FilesCollection;
  readonly #files: PocketBaseFiles;
  readonly #creations: PocketBaseCreations;

  constructor(client: PocketBaseClient, at: FilesCollection, files: PocketBaseFiles) {
    this.#client = client;
    this.#at = at;
    this.#files = files;
    this.#creations = new PocketBaseCreations(client);
  }

  /** The collection's names of the fields that the service needs. */
  get fieldNames(): FilesCollection['map'] {
    return this.#at.map;
  }

  /** {@link FileCatalog.create} */
  async create(
    record: NewFileRecord,
    options: CreateFence & { readonly requestKey?: string },
    signal: AbortSignal,
  ): ReturnType<FileCatalog['create']> {
    const { collection, map, schemas } = this.#at;
    // A create from a session consumes it, so check for missing fields before.
    if ('upload' in options) await schemas.read(signal);
    const schema = await schemas.get(namesIn(record), signal);
    const { requestKey } = options;
    if (schema.unfillable.length > 0) throw catalogUnavailable(setupError(schema.unfillable));
    const body: Record<string, unknown> = {
      ...toBody(record, map, schema),
      ...{ id: record.id, [map.requestKey]: requestKey ?? '' },
    };
    let raw: RawRecord;
    try {
      const file = { method: 'POST', collection, body: { ...schema.defaults, ...body } } as const;
      raw = await this.#creations.create(options, file, signal);
    } catch (error) {
      // A hook that runs after the commit may have failed.
      const found = isBadRequest(error) ? await this.#files.read(record.id, signal) : undefined;
      const isOurs = [map.sha256, map.requestKey].every((name) => found?.[name] === (body[name] ?? ''));
      if (!found || !isOurs || countOf(found, map) > 0) {
        return this.#refused(error, requestKey, schema, signal);
      }
      raw = found;
    }
    try {
      assertKept({ body, isNew: true, schema }, raw, this.#at);
    } catch (error) {
      // Without the session nothing else would refer to the blob.
      const remove = replaceFile(collection, record.id).slice(0, 'upload' in options ? 2 : 1);
      const log = logPurged(raw, countOf(raw, map));
      await this.#undo(error, () => this.#client.batch([...remove, log], signal));
      throw error;
    }
    return { status: 'created', record: await this.#files.toFile(raw, signal) };
  }

  /** The outcome of a failed create. */
  async #refused(
    error: unknown,
    requestKey: string | undefined,
    schema: Schema,
    signal: AbortSignal,
  ): Promise<{ readonly status: 'request-taken' }> {
    const { map } = this.#at;
    if (!(error instanceof Refusal)) throw error;
    if (error.index === 0 && error.status === 404) throw uploadExpired();
    const mayBeTaken = isTaken(error, map.requestKey) || isTaken(error, 'id');
    if (requestKey !== undefined && mayBeTaken && (await this.#files.findByKey(requestKey, signal))) {
      return { status: 'request-taken' };
    }
    throw toAssetError(error, map, schema);
  }

  /**
   * {@link FileCatalog.update}, and changes that a move of bytes makes.
   *
   * @param more - other fields of the collection by name
   */
  async update(
    id: string,
    revision: string,
    change: FileChange & Partial<MovedBytes>,
    signal: AbortSignal,
    more: Readonly<Record<string, unknown>> = {},
  ): Promise<FileRecord> {
    const { collection, map, schemas } = this.#at;
    const schema = await schemas.get(namesIn(change), signal);
    // Reports mistakes in the change itself first, whatever the current record.
    toBody(withoutGenerated(change, undefined, schema), map, schema);
    const before = await this.#files.read(id, signal);
    if (!before) throw fileNotFound(id);
    if (revisionOf(before, map, schema) !== revision) throw concurrentChange(id);
    const body = toBody(withoutGenerated(change, before, schema), map, schema);
    const count = countOf(before, map);
    const own = { [map.revision]: count + 1, ...(before[IMPORTED_STATE] ? { [IMPORTED_STATE]: '' } : {}) };
    const sent: Sent = { body: { ...body, ...more, ...own }, isNew: false, schema };
    assertTaken(sent, before, this.#at);
    const patch = { method: 'PATCH', collection, id } as const;
    const write = { change: [{ ...patch, body: sent.body }], log: this.#logOf(before, change) };
    const [raw] = await this.#change(id, count, write, sent, signal);
    if (!raw) throw concurrentChange(id);
    try {
      assertKept(sent, raw, this.#at);
    } catch (error) {
      const old = { ...valuesOf(before, sent), [map.revision]: count + 2 };
      const log = this.#logOf(raw, { deleteTime: parseTime(before[map.deleteTime]) ?? null });
      const requests = { change: [{ ...patch, body: old }], log, removesFile: false };
      await this.#undo(error, () => compareAndSet(this.#client, id, count + 1, requests, signal));
      throw error;
    }
    return this.#files.toFile(raw, signal);
  }

  /** {@link FileCatalog.purge} */
  async purge(id: string, revision: string, signal: AbortSignal): Promise<boolean> {
    const { collection, map } = this.#at;
    const raw = await this.#files.read(id, signal);
    if (!raw || (await this.#files.toFile(raw, signal)).revision !== revision) return false;
    const count = countOf(raw, map);
    const write = { change: replaceFile(collection, id), log: logPurged(raw, count) };
    try {
      return (await this.#change(id, count, write, undefined, signal)).length > 0;
    } catch (error) {
      if (isAssetError(error, 'FILE_NOT_FOUND')) return false;
      throw error;
    }
  }

  /**
   * Executes requests for a file if it is still at this count. Returns their responses; none if another writer was
   * faster.
   *
   * @param sent - what an update sends; undefined if the file is removed
   */
  async #change(
    id: string,
    count: number,
    write: { readonly change: readonly BatchRequest[]; readonly log: BatchRequest },
    sent: Sent | undefined,
    signal: AbortSignal,
  ): Promise<readonly RawRecord[]> {
    const { map, schemas } = this.#at;
    try {
      const requests = { ...write, removesFile: sent === undefined };
      const result = await compareAndSet(this.#client, id, count, requests, signal);
      return result.won ? result.records : [];
    } catch (error) {
      if (isBadRequest(error)) {
        // A hook that runs after the commit failed, or the batch did.
        const raw = await this.#files.read(id, signal);
        if (sent === undefined && !raw) return [{ id }];
        if (sent !== undefined && raw && countOf(raw, map) === count + 1) return [raw];
      }
      if (!(error instanceof Refusal)) throw error;
      if (error.status === 404 && !(await this.#files.read(id, signal))) throw fileNotFound(id);
      throw toAssetError(error, map, sent?.schema ?? (await schemas.get([], signal)));
    }
  }

  /** The request for the log of a change of `before`. */
  #logOf(before: RawRecord, { deleteTime }: Pick<FileChange, 'deleteTime'>): BatchRequest {
    const { map } = this.#at;
    const wasDeleted = parseTime(before[map.deleteTime]) !== undefined;
    const isDeleted = deleteTime === undefined ? wasDeleted : deleteTime !== null;
    const type = wasDeleted === isDeleted ? 'updated' : isDeleted ? 'deleted' : 'undeleted';
    return logUpdated(before, countOf(before, map), type);
  }

  /** Undoes a write, or throws CATALOG_UNAVAILABLE, because then it is unknown whether the write stays. */
  async #undo(why: unknown, undo: () => Promise<unknown>): Promise<void> {
    try {
      await undo();
    } catch (error) {
      throw catalogUnavailable(
        new AggregateError([why, error], 'what was written wrongly could not be undone'),
      );
    }
  }
}

function namesIn({ relations = {}, attributes = {} }: FileChange): string[] {
  return [...Object.keys(relations), ...Object.keys(attributes)];
}
