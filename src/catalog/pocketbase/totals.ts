import type { ListCursor, FileTotals } from '../file-catalog.ts';
import type { PocketBaseClient } from './client.ts';
import { listFilter } from './filter.ts';
import { parseTime } from './records.ts';
import { fieldsMissing } from './schema-cache.ts';
import type { FieldMap, Schema } from './schema.ts';

/** PocketBase's maximum number of records in one response. */
const PAGE = 1000;

/**
 * Sums up an owner's files. PocketBase has sums only in views, and a view of all owners reads all files for every
 * request. So this reads pages of sizes, in list order from an index.
 */
export async function sumFiles(
  client: PocketBaseClient,
  collection: string,
  branch: { readonly owner: string; readonly usage: string | undefined },
  { map, schema }: { readonly map: FieldMap; readonly schema: Schema },
  signal: AbortSignal,
): Promise<FileTotals> {
  const { owner, usage } = branch;
  const filter = { owner, ...(usage !== undefined && { usage }) };
  const sum = { files: 0, bytes: 0 };
  for (let after: ListCursor | undefined; ;) {
    const rows = await client.list(
      collection,
      {
        filter: listFilter(
          { filter, notUsages: [] },
          { showDeleted: true, ...(after && { after }) },
          map,
          schema,
        ),
        sort: `-${map.createTime},-id`,
        limit: PAGE,
        fields: `id,${map.sizeBytes},${map.createTime}`,
      },
      signal,
    );
    const [first] = rows;
    if (first && !(map.sizeBytes in first)) throw fieldsMissing(collection, map, [map.sizeBytes]);
    sum.files += rows.length;
    for (const row of rows) sum.bytes += Number(row[map.sizeBytes]) || 0;
    if (rows.length < PAGE) return sum;
    const last = rows.at(-1)!;
    after = { id: last.id, createTime: parseTime(last[map.createTime]) ?? new Date(0) };
  }
}
