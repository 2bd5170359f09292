import { createHash } from 'node:crypto';
import type { CatalogCall, FileRecord, JsonValue } from '../file-catalog.ts';
import type { FieldValues, LegacyRecord, LegacyRecords, LegacyUse, MovedBytes } from '../legacy-records.ts';
import { quote, Refusal, type PocketBaseClient, type RawRecord } from './client.ts';
import type { PocketBaseFiles } from './files.ts';
import { LEGACY_STATE, LEGACY_USES } from './own-collections.ts';
import { isTaken, unlessGone } from './refusals.ts';
import { isEmpty } from './values.ts';
import type { PocketBaseWrites } from './writes.ts';

/** Runs work within the limits of a call. */
type Run = <T>(call: CatalogCall | undefined, work: (signal: AbortSignal) => Promise<T>) => Promise<T>;

const MAX_USES = 10_000;
const PAGE = 1_000;

/** The records of old files in a PocketBase. */
export class PocketBaseLegacyRecords implements LegacyRecords {
  readonly #client: PocketBaseClient;
  readonly #files: PocketBaseFiles;
  readonly #writes: PocketBaseWrites;
  readonly #run: Run;

  constructor(client: PocketBaseClient, files: PocketBaseFiles, writes: PocketBaseWrites, run: Run) {
    [this.#client, this.#files, this.#writes, this.#run] = [client, files, writes, run];
  }

  fieldsOf(ids: readonly string[], call?: CatalogCall): Promise<ReadonlyMap<string, FieldValues>> {
    return this.#run(call, async (signal) => {
      const raws = await this.#files.readMany(ids, signal);
      return new Map(raws.map((raw) => [raw.id, fieldsOf(raw)]));
    });
  }

  scan(afterId: string, limit: number, call?: CatalogCall): Promise<readonly LegacyRecord[]> {
    return this.#run(call, async (signal) => {
      const raws = await this.#files.readBehind(afterId, limit, signal);
      return Promise.all(
        raws.map(async (raw) => ({ file: await this.#files.toFile(raw, signal), fields: fieldsOf(raw) })),
      );
    });
  }

  setBytes(
    id: string,
    revision: string,
    bytes: MovedBytes,
    emptied: readonly string[],
    call?: CatalogCall,
  ): Promise<FileRecord> {
    const empty = Object.fromEntries(emptied.map((name) => [name, '']));
    return this.#run(call, (signal) => this.#writes.update(id, revision, bytes, signal, empty));
  }

  unsetBytes(
    id: string,
    revision: string,
    before: Parameters<LegacyRecords['unsetBytes']>[2],
    restored: Readonly<Record<string, string>>,
    call?: CatalogCall,
  ): Promise<FileRecord> {
    const { sha256, crc32c } = this.#writes.fieldNames;
    const values = { ...restored, [sha256]: '', [crc32c]: '' };
    return this.#run(call, (signal) => this.#writes.update(id, revision, before, signal, values));
  }

  addUses(uses: readonly LegacyUse[], call?: CatalogCall): Promise<void> {
    return this.#run(call, async (signal) => {
      for (const use of uses) await this.#addUse(use, signal);
    });
  }

  async #addUse({ caller, kind, day, count }: LegacyUse, signal: AbortSignal): Promise<void> {
    const id = createHash('sha256')
      .update(JSON.stringify([caller, kind, day]))
      .digest('base64url');
    const add = () =>
      this.#client.batch(
        [{ method: 'PATCH', collection: LEGACY_USES, id, body: { 'count+': count }, onlyId: true }],
        signal,
      );
    if (await unlessGone(add())) return;
    const body = { id, caller, kind, day, count };
    try {
      await this.#client.batch([{ method: 'POST', collection: LEGACY_USES, body, onlyId: true }], signal);
    } catch (error) {
      // Another replica created it first.
      if (!(error instanceof Refusal) || !isTaken(error, 'id')) throw error;
      await add();
    }
  }

  listUses(call?: CatalogCall): Promise<readonly LegacyUse[]> {
    return this.#run(call, async (signal) => {
      const uses: LegacyUse[] = [];
      for (let filter = 'id!=""'; uses.length < MAX_USES;) {
        const raws = await this.#client.list(LEGACY_USES, { filter, sort: '-day,id', limit: PAGE }, signal);
        uses.push(...raws.map(toUse));
        const last = raws.at(-1);
        if (last === undefined || raws.length < PAGE) break;
        const [day, id] = [quote(toUse(last).day), quote(last.id)];
        filter = `day<${day}||(day=${day}&&id>${id})`;
      }
      return uses;
    });
  }

  getState(name: string, call?: CatalogCall): Promise<JsonValue | undefined> {
    return this.#run(call, async (signal) => {
      const query = { filter: `id=${quote(name)}`, limit: 1 };
      const [raw] = await this.#client.list(LEGACY_STATE, query, signal);
      return raw?.['value'] as JsonValue | undefined;
    });
  }

  putState(name: string, value: JsonValue, call?: CatalogCall): Promise<void> {
    return this.#run(call, async (signal) => {
      const collection = LEGACY_STATE;
      const change = () =>
        this.#client.batch(
          [{ method: 'PATCH', collection, id: name, body: { value }, onlyId: true }],
          signal,
        );
      if (await unlessGone(change())) return;
      try {
        await this.#client.batch(
          [{ method: 'POST', collection, body: { id: name, value }, onlyId: true }],
          signal,
        );
      } catch (error) {
        if (!(error instanceof Refusal) || !isTaken(error, 'id')) throw error;
        await change();
      }
    });
  }
}

function toUse(raw: RawRecord): LegacyUse {
  const text = (name: string) => String(raw[name]);
  return { caller: text('caller'), kind: text('kind'), day: text('day'), count: Number(raw['count']) };
}

function fieldsOf(raw: RawRecord): FieldValues {
  const { collectionId, collectionName, ...own } = raw;
  const all = { collection_id: collectionId, collection_name: collectionName, ...own };
  return Object.fromEntries(
    Object.entries(all).flatMap(([name, value]) => {
      const texts = [value].flat().filter((one) => !isEmpty(one) && typeof one !== 'object');
      return texts.length === 0 ? [] : [[name, texts.map(String)] as const];
    }),
  );
}
