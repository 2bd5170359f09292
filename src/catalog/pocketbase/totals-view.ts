import { TOTALS, type Helper } from './own-collections.ts';
import type { FieldMap } from './schema.ts';

/**
 * The view that sums up files by owner and usage. SQLite moves a condition on them into the grouping, so that a request
 * for one owner reads only the entries of that owner in the index of {@link totalsIndex}.
 *
 * While it exists PocketBase refuses to delete the collection, or its field of the owner, usage or size. So a migration
 * adds it only where there are quotas.
 */
export function totalsView(
  collection: string,
  { owner, usage, sizeBytes }: FieldMap,
): Helper & {
  readonly viewQuery: string;
} {
  // With the table's name a field stays apart from the column of the view, also when PocketBase renames it.
  const [who, what, size] = [owner, usage, sizeBytes].map((field) => `f.\`${field}\``);
  const columns = `(${who} || ' ' || ${what}) as id, ${who} as owner, ${what} as usage, count(*) as files, cast(sum(${size}) as int) as bytes`;
  return {
    name: TOTALS,
    fields: ['id', 'owner', 'usage', 'files', 'bytes'].map((name) => ({ name, type: 'view' })),
    indexes: [],
    viewQuery: `select ${columns} from \`${collection}\` f group by ${who}, ${what}`,
  };
}

/** Name and columns of the index with all that {@link totalsView} reads. */
export function totalsIndex({ owner, usage, sizeBytes }: FieldMap): readonly [name: string, columns: string] {
  return [`${owner}_${usage}_${sizeBytes}`, `(\`${owner}\`, \`${usage}\`, \`${sizeBytes}\`)`];
}
