import type { OwnerUsage } from '../file-catalog.ts';
import { quote, type PocketBaseClient } from './client.ts';
import { listFilter } from './filter.ts';
import { fieldsMissing } from './schema-cache.ts';
import type { FieldMap, Schema } from './schema.ts';

/** Most records that PocketBase gives in one answer. */
const PAGE = 1000;

/**
 * Sums up the files of an owner. PocketBase sums nothing up for its clients but by a view, and a view of all owners
 * reads all files for every question: pages of sizes alone are read instead, in the order of their ids.
 */
export async function sumUsage(
  client: PocketBaseClient,
  collection: string,
  branch: { readonly owner: string; readonly usage: string | undefined },
  { map, schema }: { readonly map: FieldMap; readonly schema: Schema },
  signal: AbortSignal,
): Promise<OwnerUsage> {
  const { owner, usage } = branch;
  const filter = { owner, ...(usage !== undefined && { usage }) };
  const all = listFilter({ filter, notUsages: [] }, { showDeleted: true }, map, schema);
  const sum = { files: 0, bytes: 0 };
  for (let after = ''; ;) {
    const rows = await client.list(
      collection,
      {
        filter: `${all}&&id>${quote(after)}`,
        sort: 'id',
        limit: PAGE,
        fields: `id,${map.sizeBytes}`,
      },
      signal,
    );
    const [first] = rows;
    if (first && !(map.sizeBytes in first)) throw fieldsMissing(collection, map, [map.sizeBytes]);
    sum.files += rows.length;
    for (const row of rows) sum.bytes += Number(row[map.sizeBytes]) || 0;
    if (rows.length < PAGE) return sum;
    after = rows.at(-1)!.id;
  }
}
