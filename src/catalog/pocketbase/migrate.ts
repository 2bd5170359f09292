import { setTimeout as sleep } from 'node:timers/promises';
import { AssetError } from '../../errors.ts';
import { Refusal, type PocketBaseClient } from './client.ts';
import { MAX_FILE_REQUESTS } from './creations.ts';
import { HELPERS } from './helpers.ts';
import {
  isMultiple,
  type Collection,
  type CollectionField,
  type FieldMap,
  type FieldName,
} from './schema.ts';

const text = (max: number) => ({ type: 'text', max });
const wholeNumber = { type: 'number', onlyInt: true };

/** What each field of ours is where the collection has none, and the types that do as well. */
const WANTED: Readonly<Record<FieldName, { readonly as: object; readonly types: readonly string[] }>> = {
  name: { as: text(1_024), types: ['text', 'editor'] },
  contentType: { as: text(255), types: ['text'] },
  sizeBytes: { as: { ...wholeNumber, min: 0 }, types: ['number'] },
  sha256: { as: text(64), types: ['text'] },
  crc32c: { as: text(8), types: ['text'] },
  owner: { as: text(255), types: ['text', 'relation', 'select', 'email'] },
  usage: { as: text(128), types: ['text', 'relation', 'select'] },
  createdBy: { as: text(512), types: ['text'] },
  createdFor: { as: { ...text(512), hidden: true }, types: ['text'] },
  createTime: { as: { type: 'autodate', onCreate: true }, types: ['autodate'] },
  updateTime: { as: { type: 'autodate', onCreate: true, onUpdate: true }, types: ['autodate'] },
  deleteTime: { as: { type: 'date' }, types: ['date'] },
  purgeTime: { as: { type: 'date', hidden: true }, types: ['date'] },
  requestKey: { as: { ...text(64), hidden: true }, types: ['text'] },
  revision: { as: { ...wholeNumber, min: 0, hidden: true }, types: ['number'] },
};

/** The collection that the files are in; undefined if there is none. */
export async function findCollection(
  client: PocketBaseClient,
  name: string,
  signal: AbortSignal,
): Promise<Collection | undefined> {
  try {
    return await client.send<Collection>(`/api/collections/${encodeURIComponent(name)}`, { signal });
  } catch (error) {
    if (error instanceof Refusal && error.status === 404) return undefined;
    throw error;
  }
}

/**
 * Adds to a PocketBase what the catalog needs, and removes nothing. Rules, views and fields stay as they are, but for
 * one thing: a legacy link that is `required` no longer is, since files of the service have no location.
 *
 * Safe to repeat and to run in several replicas at once: PocketBase merges what it imports with what is there. Where two
 * make one collection at the same moment it refuses the second, which then looks again at what is missing.
 */
export async function migratePocketBase(
  client: PocketBaseClient,
  options: MigrationOptions,
  signal: AbortSignal,
): Promise<readonly string[]> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await addMissing(client, options, signal);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (attempt === ATTEMPTS) throw unusable(options.collection, 'cannot be changed', error);
      await sleep(200 * attempt * Math.random(), undefined, { signal });
    }
  }
}

const ATTEMPTS = 8;

interface MigrationOptions {
  readonly collection: string;
  readonly map: FieldMap;
  readonly hiddenFields: readonly string[];
}

async function addMissing(
  client: PocketBaseClient,
  options: MigrationOptions,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const did: string[] = [];
  const imports: object[] = [];

  const files = await findCollection(client, options.collection, signal);
  const before: Omit<Collection, 'id'> = files ?? {
    name: options.collection,
    type: 'base',
    fields: [],
    indexes: [],
  };
  if (before.type === 'view') throw unusable(options.collection, 'is a view');
  if (!files) did.push(`created collection ${options.collection}`);
  const { fields, added, relaxed } = fieldsOf(before.fields, options);
  const indexes = missingIndexes(before, options);
  if (!files || added.length + relaxed.length + indexes.length > 0) {
    // Nothing else of the collection is sent, so that nobody's change of its rules is undone.
    const { name, type } = before;
    imports.push({ name, type, fields, indexes: [...before.indexes, ...indexes] });
  }
  const { collection } = options;
  for (const name of added) did.push(`added field ${collection}.${name}`);
  for (const name of relaxed) did.push(`made ${collection}.${name} optional: new files have no location`);
  for (const index of indexes) did.push(`added index ${indexName(index)}`);

  for (const helper of HELPERS) {
    const found = await findCollection(client, helper.name, signal);
    const present = new Set(found?.indexes.map(indexName));
    const indexes = helper.indexes.filter((index) => !present.has(indexName(index)));
    if (!found) did.push(`created collection ${helper.name}`);
    else if (indexes.length === 0) continue;
    else for (const index of indexes) did.push(`added index ${indexName(index)}`);
    imports.push({
      ...helper,
      type: 'base',
      ...(found && { fields: found.fields }),
      indexes: [...(found?.indexes ?? []), ...indexes],
    });
  }
  if (imports.length > 0) {
    const body = { collections: imports, deleteMissing: false };
    await client.send('/api/collections/import', { method: 'PUT', body, signal });
  }

  const { batch } = await client.send<{ batch: { enabled: boolean; maxRequests: number } }>('/api/settings', {
    signal,
  });
  if (!batch.enabled || batch.maxRequests < MIN_BATCH) {
    const maxRequests = Math.max(batch.maxRequests, MIN_BATCH);
    const body = { batch: { ...batch, enabled: true, maxRequests } };
    await client.send('/api/settings', { method: 'PATCH', body, signal });
    did.push('enabled batch requests in the settings');
  }
  return did;
}

/** Requests in the longest batch of the catalog. */
const MIN_BATCH = MAX_FILE_REQUESTS;

/** Fields that users must not be able to write: PocketBase keeps hidden ones from them. */
const SECRET = new Set<string>(['requestKey', 'revision'] satisfies FieldName[]);

/** The fields that the collection is to have, in the order that it has them. */
function fieldsOf(present: readonly CollectionField[], options: MigrationOptions) {
  const relaxed: string[] = [];
  const isLegacyLink = ({ name, type }: CollectionField) =>
    options.hiddenFields.includes(name) || (type === 'file' && !Object.values(options.map).includes(name));
  const kept = present.map((field) => {
    if (!field.required || !isLegacyLink(field)) return field;
    relaxed.push(field.name);
    return { ...field, required: false };
  });
  const missing: object[] = [];
  const added: string[] = [];
  for (const [ours, wanted] of Object.entries(WANTED)) {
    const name = options.map[ours as FieldName];
    const field = present.find((one) => one.name === name);
    if (!field) {
      missing.push({ name, ...wanted.as });
      added.push(name);
    } else if (!wanted.types.includes(field.type)) {
      throw unusable(
        `${options.collection}.${name}`,
        `is of type ${field.type} and cannot hold ${ours}; map ${ours} to another`,
      );
    } else if (SECRET.has(ours) && !field.hidden) {
      throw unusable(`${options.collection}.${name}`, `must be hidden from everybody but superusers`);
    }
  }
  return { fields: [...kept, ...missing], added, relaxed };
}

function missingIndexes(
  collection: Pick<Collection, 'name' | 'fields' | 'indexes'>,
  { map, hiddenFields }: MigrationOptions,
): string[] {
  const ignored = new Set([...Object.values(map), ...hiddenFields]);
  // A list in a relation field is JSON, which an index does not help with.
  const relations = collection.fields.filter(
    (field) => field.type === 'relation' && !isMultiple(field) && !ignored.has(field.name),
  );
  const ofFilter = [map.owner, map.usage, ...relations.map((field) => field.name)];
  const byTime = `\`${map.createTime}\` desc, \`id\` desc`;
  // In the words that PocketBase makes of `field!=""`: SQLite uses such an index only for a query that says the same.
  const notEmpty = (field: string) => `(\`${field}\`) where \`${field}\` is not ''`;
  const wanted: [name: string, columns: string][] = [
    [map.createTime, `(${byTime})`],
    ...ofFilter.map((field) => [field, `(\`${field}\`, ${byTime})`] satisfies [string, string]),
    [map.contentType, `(lower(\`${map.contentType}\`))`],
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

function indexName(index: string): string {
  return /index\s+(?:if\s+not\s+exists\s+)?[`"[]?([A-Za-z0-9_]+)/i.exec(index)?.[1] ?? index;
}

function unusable(what: string, why: string, cause?: unknown): AssetError {
  return new AssetError('CATALOG_REFUSED', `The catalog's ${what} ${why}.`, {
    metadata: { field: what },
    cause,
  });
}
