import { isMultiple, type Collection, type PocketBaseSetup } from './schema.ts';

/** The missing indexes of the collection of files, as SQL. */
export function missingIndexes(
  collection: Pick<Collection, 'name' | 'fields' | 'indexes'>,
  { map, hiddenFields }: PocketBaseSetup,
): string[] {
  const ignored = new Set([...Object.values(map), ...hiddenFields]);
  // A relation field with several targets is JSON, for which an index does not help.
  const relations = collection.fields.filter(
    (field) => field.type === 'relation' && !isMultiple(field) && !ignored.has(field.name),
  );
  const ofFilter = [map.usage, ...relations.map((field) => field.name)];
  const byTime = `\`${map.createTime}\` desc, \`id\` desc`;
  // As PocketBase writes `field!=""`: SQLite uses a partial index only for a query with the same expression.
  const notEmpty = (field: string) => `(\`${field}\`) where \`${field}\` is not ''`;
  const type = `lower(\`${map.contentType}\`)`;
  const wanted: [name: string, columns: string][] = [
    [map.createTime, `(${byTime})`],
    [map.owner, `(\`${map.owner}\`, ${byTime})`],
    ...ofFilter.map((field) => [field, `(\`${field}\`, ${byTime})`] satisfies [string, string]),
    [`${map.contentType}_${map.createTime}`, `(${type}, ${byTime})`],
    // Each also together with the owner.
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

/** The name of an index in its SQL. */
export function indexName(index: string): string {
  return /index\s+(?:if\s+not\s+exists\s+)?[`"[]?([A-Za-z0-9_]+)/i.exec(index)?.[1] ?? index;
}
