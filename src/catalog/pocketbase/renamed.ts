import { crc32 } from '@node-rs/crc32';
import { DEFAULT_FIELDS, FIELDS, settingKey } from './field-map.ts';
import type { Mistake } from './fillable.ts';
import { collectionOf, DEFAULT_COLLECTION } from './names.ts';
import type { Collection, PocketBaseSetup } from './schema.ts';

/**
 * Fields and collections that were renamed after the service used them. A migration would otherwise add them again,
 * empty, under the old name, and their content would be lost to callers.
 *
 * PocketBase derives the id of a field or collection from its first name, and keeps it.
 */
export function renamedMistakes(
  collections: readonly Collection[],
  setup: PocketBaseSetup,
): readonly Mistake[] {
  const files = collectionOf(collections, setup.collection);
  if (!files) return setup.collection === DEFAULT_COLLECTION ? renamedFiles(collections) : [];
  if (!isMigrated(files)) return [];
  const { map } = setup;
  const names = new Set(files.fields.map(({ name }) => name));
  const mapped = new Set(Object.values(map));
  return FIELDS.flatMap((ours) => {
    const name = map[ours];
    if (names.has(name) || name !== DEFAULT_FIELDS[ours]) return [];
    const now = files.fields.find((field) => field.id === `${field.type}${crc32(name)}`)?.name;
    if (now === undefined || mapped.has(now)) return [];
    const fields = JSON.stringify({ [settingKey(ours)]: now });
    return [mistake(files.name, 'field', name, now, `ASSET_POCKETBASE_FIELDS='${fields}'`)];
  });
}

function renamedFiles(collections: readonly Collection[]): readonly Mistake[] {
  const id = `pbc_${crc32(`base${DEFAULT_COLLECTION}`)}`;
  const now = collections.find((one) => one.id === id && isMigrated(one))?.name;
  if (now === undefined) return [];
  const setting = `ASSET_POCKETBASE_COLLECTION=${now}`;
  return [mistake(undefined, 'collection', DEFAULT_COLLECTION, now, setting)];
}

/** True for a collection with an index of the service. */
function isMigrated({ indexes }: Collection): boolean {
  return indexes.some((index) => index.includes('idx_asset_'));
}

function mistake(
  collection: string | undefined,
  what: 'field' | 'collection',
  name: string,
  now: string,
  setting: string,
): Mistake {
  const path = collection === undefined ? name : `${collection}.${name}`;
  const text = `The ${what} ${path} is gone: it was renamed to "${now}". Give it its name back, or set ${setting}.`;
  return { field: path, text };
}
