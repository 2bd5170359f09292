import { settingKey, type FieldName } from './field-map.ts';
import type { Mistake } from './fillable.ts';
import { IMPORTED_CREATE_TIME } from './import-fields.ts';
import {
  isMultiple,
  takesImports,
  type Collection,
  type CollectionField,
  type PocketBaseSetup,
} from './schema.ts';
import { totalsIndex } from './totals-view.ts';

/** A field that a migration adds. */
export type NewField = Omit<CollectionField, 'name'> & Pick<CollectionField, 'type'>;

const text = (max: number) => ({ type: 'text', max });
const wholeNumber = { type: 'number', onlyInt: true };

interface Wanted {
  /** The field to add if it is missing. */
  readonly as: NewField;
  /** Other accepted types. */
  readonly types: readonly string[];
  /** Number of characters that the service writes. */
  readonly length?: number;
  /** True for a field that users must not write: PocketBase hides it from them. */
  readonly secret?: boolean;
}

const WANTED: Readonly<Record<FieldName, Wanted>> = {
  name: { as: text(1_024), types: ['text', 'editor'] },
  contentType: { as: text(255), types: ['text'] },
  sizeBytes: { as: { ...wholeNumber, min: 0 }, types: ['number'] },
  sha256: { as: text(64), types: ['text'], length: 64 },
  crc32c: { as: text(8), types: ['text'], length: 8 },
  owner: { as: text(255), types: ['text', 'relation', 'select', 'email'] },
  usage: { as: text(128), types: ['text', 'relation', 'select'] },
  createdBy: { as: text(512), types: ['text'] },
  createdFor: { as: { ...text(512), hidden: true }, types: ['text'] },
  createTime: { as: { type: 'autodate', onCreate: true }, types: ['autodate'] },
  updateTime: { as: { type: 'autodate', onCreate: true, onUpdate: true }, types: ['autodate'] },
  deleteTime: { as: { type: 'date' }, types: ['date'] },
  purgeTime: { as: { type: 'date', hidden: true }, types: ['date'] },
  requestKey: { as: { ...text(64), hidden: true }, types: ['text'], length: 64, secret: true },
  revision: { as: { ...wholeNumber, min: 0, hidden: true }, types: ['number'], secret: true },
};

/** The field that a migration adds for a part of a record. */
export function wantedField(name: FieldName): NewField {
  return WANTED[name].as;
}

/** Fields of a collection whose type cannot store their value. Missing fields do not count. */
export function typeMistakes(collection: Collection, { map }: PocketBaseSetup): readonly Mistake[] {
  return Object.entries(WANTED).flatMap(([ours, wanted]) => {
    const key = settingKey(ours as FieldName);
    const field = collection.fields.find(({ name }) => name === map[ours as FieldName]);
    const why = field && whyUnfit(field, wanted);
    if (why === undefined) return [];
    const path = `${collection.name}.${field!.name}`;
    return [{ field: path, text: `${path} ${why.replaceAll('{key}', key)}` }];
  });
}

function whyUnfit(field: CollectionField, wanted: Wanted): string | undefined {
  const elsewhere = 'Map {key} to another field of the collection in ASSET_POCKETBASE_FIELDS.';
  const { max } = field;
  if (!wanted.types.includes(field.type)) {
    return `is of type ${field.type} and cannot hold {key} (${describeField(wanted.as)}). ${elsewhere}`;
  }
  if (isMultiple(field)) return `holds several values, and {key} is one. ${elsewhere}`;
  if (wanted.length !== undefined && typeof max === 'number' && max > 0 && max < wanted.length) {
    return `takes ${max} characters, and {key} has ${wanted.length}. Allow more in PocketBase, or map {key} to another field in ASSET_POCKETBASE_FIELDS.`;
  }
  if (wanted.secret && !field.hidden) {
    return `must be hidden, so that nobody but superusers can write it. Hide it in PocketBase. If it is a field of the product, map {key} to another one in ASSET_POCKETBASE_FIELDS.`;
  }
  return undefined;
}

/** A field's type and relevant options, in words. */
export function describeField({ type, ...options }: NewField): string {
  const { min, max, onlyInt, hidden, onCreate, onUpdate, required } = options;
  return [
    type,
    ...(onlyInt === true ? ['whole numbers'] : []),
    ...(typeof min === 'number' ? [`at least ${min}`] : []),
    ...(typeof max === 'number' ? [`at most ${max}`] : []),
    ...(onCreate === true ? [onUpdate === true ? 'set on create and update' : 'set on create'] : []),
    ...(required === true ? ['required'] : []),
    ...(hidden === true ? ['hidden'] : []),
  ].join(', ');
}

/** The missing indexes of the collection of files, as SQL. */
export function missingIndexes(
  collection: Pick<Collection, 'name' | 'fields' | 'indexes'>,
  { map, hiddenFields, hasQuotas }: PocketBaseSetup,
): string[] {
  const ignored = new Set([...Object.values(map), ...hiddenFields]);
  // A relation field with several targets is JSON, for which an index does not help.
  const relations = collection.fields.filter(
    (field) => field.type === 'relation' && !isMultiple(field) && !ignored.has(field.name),
  );
  const ofFilter = [map.usage, ...relations.map((field) => field.name)];
  // As PocketBase writes `field!=""`: SQLite uses a partial index only for a query with the same expression.
  const notEmpty = (field: string) => `(\`${field}\`) where \`${field}\` is not ''`;
  const type = `lower(\`${map.contentType}\`)`;
  const lists = [
    { name: map.createTime, by: '' },
    { name: map.owner, by: `\`${map.owner}\`, ` },
    ...ofFilter.map((field) => ({ name: field, by: `\`${field}\`, ` })),
    { name: `${map.contentType}_${map.createTime}`, by: `${type}, ` },
    // Each also together with the owner.
    ...ofFilter.map((field) => ({ name: `${map.owner}_${field}`, by: `\`${map.owner}\`, \`${field}\`, ` })),
    { name: `${map.owner}_${map.contentType}`, by: `\`${map.owner}\`, ${type}, ` },
  ];
  const wanted: (readonly [name: string, columns: string])[] = [
    ...lists.map(
      ({ name, by }) => [name, `(${by}\`${map.createTime}\` desc, \`id\` desc)`] as [string, string],
    ),
    [map.purgeTime, notEmpty(map.purgeTime)],
    ...(hasQuotas() ? [totalsIndex(map)] : []),
    ...(takesImports(collection) ? lists.flatMap((list) => importIndexes(list, map)) : []),
  ];
  const create = (kind: string, field: string, columns: string) =>
    `create ${kind} \`idx_asset_${collection.name}_${field}\` on \`${collection.name}\` ${columns}`;
  // By name and by definition: PocketBase refuses the same one twice, and a renamed field or collection keeps its own.
  const present = new Set(collection.indexes.flatMap((index) => [indexName(index), definitionOf(index)]));
  return [
    create('unique index', map.requestKey, notEmpty(map.requestKey)),
    ...wanted.map(([field, columns]) => create('index', field, columns)),
  ].filter((index) => !present.has(indexName(index)) && !present.has(definitionOf(index)));
}

/** The indexes of a list for imported files and for others, which have different times of creation. */
function importIndexes(
  { name, by }: { readonly name: string; readonly by: string },
  map: PocketBaseSetup['map'],
): [name: string, columns: string][] {
  const time = `\`${IMPORTED_CREATE_TIME}\``;
  // As PocketBase writes the conditions of `IS_IMPORTED` and `IS_NATIVE`.
  return [
    [`${name}_imported`, `(${by}${time} desc, \`id\` desc) where ${time} is not ''`],
    [`${name}_native`, `(${by}\`${map.createTime}\` desc, \`id\` desc) where ${time} < 1`],
  ];
}

/** What an index is about: its SQL without its name, white space and quotes of names. */
function definitionOf(index: string): string {
  const [, unique = '', definition = index] =
    /^\s*create\s+(unique\s+)?index\s.*?\son\s+(.*)$/is.exec(index) ?? [];
  return `${unique} ${definition}`.toLowerCase().replaceAll(/[\s`"[\]]/g, '');
}

/** The name of an index in its SQL. */
export function indexName(index: string): string {
  return /index\s+(?:if\s+not\s+exists\s+)?[`"[]?([A-Za-z0-9_]+)/i.exec(index)?.[1] ?? index;
}
