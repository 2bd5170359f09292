import type { FileTotals, ListCursor } from '../file-catalog.ts';
import { quote, type PocketBaseClient } from './client.ts';
import { isUnknown } from './failures.ts';
import { equals, listFilter } from './filter.ts';
import type { FilesCollection } from './kept.ts';
import { findCollection } from './migrate.ts';
import { TOTALS } from './own-collections.ts';
import { parseTime } from './records.ts';
import { fieldsMissing } from './schema-cache.ts';
import type { Schema } from './schema.ts';
import { totalsView } from './totals-view.ts';

/** PocketBase's maximum number of records in one response. */
const PAGE = 1000;

/** Time after which the view is looked for again, in milliseconds: another replica may have created or changed it. */
const LOOK_EVERY_MS = 60_000;

/** Whose files are summed up: of one usage, or of all if it is undefined. */
interface Part {
  readonly owner: string;
  readonly usage: string | undefined;
}

/**
 * Sums up files of owners: by {@link totalsView}, or from pages of sizes where a migration has not created that view
 * yet, or it is about other fields than those of the settings.
 */
export class PocketBaseTotals {
  readonly #client: PocketBaseClient;
  readonly #at: FilesCollection;
  #lookAt = 0;
  #hasView = false;

  constructor(client: PocketBaseClient, at: FilesCollection) {
    [this.#client, this.#at] = [client, at];
  }

  /** {@link FileCatalog.totalsOf} */
  async of(part: Part, signal: AbortSignal): Promise<FileTotals> {
    const schema = await this.#at.schemas.get([], signal);
    if (Date.now() >= this.#lookAt) await this.#look(schema, signal);
    if (this.#hasView) {
      try {
        return await this.#fromView(part, schema, signal);
      } catch (error) {
        // It was removed or changed since.
        if (!isUnknown(error)) throw error;
        this.#hasView = false;
      }
    }
    return this.#fromPages(part, schema, signal);
  }

  /** Looks for the view with the next call. */
  lookAgain(): void {
    this.#lookAt = 0;
  }

  async #look({ collection }: Schema, signal: AbortSignal): Promise<void> {
    const found = await findCollection(this.#client, TOTALS, signal);
    this.#hasView = found?.viewQuery === totalsView(collection, this.#at.map).viewQuery;
    this.#lookAt = Date.now() + LOOK_EVERY_MS;
  }

  async #fromView({ owner, usage }: Part, { mapped }: Schema, signal: AbortSignal): Promise<FileTotals> {
    const sum = { files: 0, bytes: 0 };
    const conditions = [
      equals('owner', mapped.get('owner'), owner),
      ...(usage === undefined ? [] : [equals('usage', mapped.get('usage'), usage)]),
    ];
    for (let after = ''; ;) {
      const query = { filter: conditions.join('&&') + after, sort: 'usage', limit: PAGE };
      const rows = await this.#client.list(TOTALS, query, signal);
      for (const row of rows) {
        sum.files += Number(row['files']);
        sum.bytes += Number(row['bytes']);
      }
      if (rows.length < PAGE) return sum;
      after = `&&usage>${quote(String(rows.at(-1)!['usage']))}`;
    }
  }

  /** Reads the sizes of all files, in list order from an index. */
  async #fromPages({ owner, usage }: Part, schema: Schema, signal: AbortSignal): Promise<FileTotals> {
    const { collection, map } = this.#at;
    const filter = { owner, ...(usage !== undefined && { usage }) };
    const sum = { files: 0, bytes: 0 };
    for (let after: ListCursor | undefined; ;) {
      const page = { showDeleted: true, ...(after && { after }) };
      const query = {
        filter: listFilter({ filter, notUsages: [] }, page, map, schema),
        sort: `-${map.createTime},-id`,
        limit: PAGE,
        fields: `id,${map.sizeBytes},${map.createTime}`,
      };
      const rows = await this.#client.list(collection, query, signal);
      const [first] = rows;
      if (first && !(map.sizeBytes in first)) throw fieldsMissing(collection, map, [map.sizeBytes]);
      sum.files += rows.length;
      for (const row of rows) sum.bytes += Number(row[map.sizeBytes]) || 0;
      if (rows.length < PAGE) return sum;
      const last = rows.at(-1)!;
      after = { id: last.id, createTime: parseTime(last[map.createTime]) ?? new Date(0) };
    }
  }
}
