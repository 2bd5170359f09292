import { isMultiple, type Collection, type PocketBaseSetup } from './schema.ts';

/** The indexes that the collection of files lacks, as SQL. */
export function missingIndexes(
  collection: Pick<Collection, 'name' | 'fields' | 'indexes'>,
  { map, hiddenFields }: PocketBaseSetup,
): string[] {
  const ignored = new Set([...Object.values(map), ...hiddenFields]);
  // A list in a relation field is JSON, which an index does not help with.
  const relations = collection.fields.filter(
    (field) => field.type === 'relation' && !isMultiple(field) && !ignored.has(field.name),
  );
  const ofFilter = [map.usage, ...relations.map((field) => field.name)];
  const byTime = `\`${map.createTime}\` desc, \`id\` desc`;
  // In the words that PocketBase makes of `field!=""`: SQLite uses such an index only for a query that says the same.
  const notEmpty = (field: string) => `(\`${field}\`) where \`${field}\` is not ''`;
  const type = `lower(\`${map.contentType}\`)`;
  const wanted: [name: string, columns: string][] = [
    [map.createTime, `(${byTime})`],
    [map.owner, `(\`${map.owner}\`, ${byTime})`],
    ...ofFilter.map((field) => [field, `(\`${field}\`, ${byTime})`] satisfies [string, string]),
    [`${map.contentType}_${map.createTime}`, `(${type}, ${byTime})`],
    // Each of them together with an owner, too.
    ...ofFilter.map(
      (field) =>
        [`${map.owner}_${field}`, `(\`${map.owner}\`, \`${field}\`, ${byTime})`] satisfies [string, string],
    ),
    [`${map.owner}_${map.contentType}`, `(\`${map.owner}\`, ${type}, ${byTime})`],
    [map.purgeTime, notEmpty(map.purgeTime)],
  ];
  const create = (kind: string, field: string, columns: string) =>
    `create ${kind} \`idx_asset_${collection.name}_${field}\` on \`${collection.name}\` ${columns}`;
  const present = new Set(collection.indexes.map(indexName));
  return [
    create('unique index', map.requestKey, notEmpty(map.requestKey)),
    ...wanted.map(([field, columns]) => create('index', field, columns)),
  ].filter((index) => !present.has(indexName(index)));
}

/** The name that the SQL of an index gives it. */
export function indexName(index: string): string {
  return /index\s+(?:if\s+not\s+exists\s+)?[`"[]?([A-Za-z0-9_]+)/i.exec(index)?.[1] ?? index;
}
