import { closestMatch } from 'leven';
import { DEFAULT_FIELDS, FIELDS, settingKey } from './field-map.ts';
import { whyNoDefault } from './defaults.ts';
import type { Mistake } from './fillable.ts';
import { OWN_NAMES } from './own-collections.ts';
import type { Collection, PocketBaseSetup } from './schema.ts';
import { describeField, wantedField } from './wanted.ts';

/** The only collection of files that the service creates if it does not exist. */
export const DEFAULT_COLLECTION = 'files';

/** The collection with this name or id, compared as PocketBase does. */
export function collectionOf(collections: readonly Collection[], name: string): Collection | undefined {
  return collections.find((one) => one.id === name || one.name.toLowerCase() === name.toLowerCase());
}

/** Mistakes in the collection's name: it must exist and be able to store files. */
export function collectionMistakes(
  collections: readonly Collection[],
  setup: PocketBaseSetup,
): readonly Mistake[] {
  const { collection } = setup;
  const mistake = (setting: string, why: string) => [{ field: collection, text: `${setting}: ${why}` }];
  const found = collectionOf(collections, collection);
  const isHelper = OWN_NAMES.has(found?.name ?? collection);
  if (isHelper || found?.system) {
    const whose = isHelper ? 'the service keeps its own state in it' : 'it belongs to PocketBase';
    return mistake('ASSET_POCKETBASE_COLLECTION', `"${collection}" cannot hold the files: ${whose}.`);
  }
  if (found) {
    if (found.type === 'base') return [];
    const why = `"${collection}" is of type ${found.type}, and files need a collection of type base.`;
    return mistake('ASSET_POCKETBASE_COLLECTION', why);
  }
  const candidates = collections.filter(({ name, system }) => !system && !OWN_NAMES.has(name));
  const others = suggest(collection, candidates);
  if (collection !== DEFAULT_COLLECTION) {
    return mistake('ASSET_POCKETBASE_COLLECTION', `PocketBase has no collection "${collection}".${others}`);
  }
  // Settings of field names mean that the collection exists somewhere; a new one would be empty.
  const setting = SETTINGS_OF_NAMES.find((one) => namesIn(one, setup).length > 0);
  if (setting === undefined) return [];
  const why = `names fields, but PocketBase has no collection "${collection}" that could have them.`;
  return mistake(setting, `${why} Name the collection in ASSET_POCKETBASE_COLLECTION.${others}`);
}

/** Mistakes in field names: every name in a setting must exist. */
export function fieldNameMistakes(collection: Collection, setup: PocketBaseSetup): readonly Mistake[] {
  const { map, hiddenFields, legacyFields, defaults } = setup;
  const mistakes: Mistake[] = [];
  const add = (setting: string, field: string, why: string) =>
    mistakes.push({ field: `${collection.name}.${field}`, text: `${setting}: ${why}` });
  const byName = new Map(collection.fields.map((field) => [field.name, field]));
  const missing = (name: string) =>
    `the collection "${collection.name}" has no field "${name}".${suggest(name, collection.fields)}`;

  for (const ours of FIELDS) {
    const name = map[ours];
    if (byName.has(name) || name === DEFAULT_FIELDS[ours]) continue;
    const toAdd = `Where the service is to have a field of that name, add it first: ${describeField(wantedField(ours))}.`;
    add('ASSET_POCKETBASE_FIELDS', name, `"${settingKey(ours)}": ${missing(name)} ${toAdd}`);
  }
  for (const name of hiddenFields) {
    const setting = legacyFields[name] ?? 'ASSET_POCKETBASE_HIDDEN_FIELDS';
    if (!byName.has(name) && setting !== '') add(setting, name, missing(name));
  }
  for (const [name, value] of Object.entries(defaults)) {
    const field = byName.get(name);
    const ours = FIELDS.find((one) => map[one] === name);
    const why = !field
      ? missing(name)
      : ours !== undefined
        ? `"${name}" is where the ${settingKey(ours)} of a file is, which has no default.`
        : whyNoDefault(field, value);
    if (why !== undefined) add('ASSET_POCKETBASE_DEFAULTS', name, why);
  }
  return mistakes;
}

const SETTINGS_OF_NAMES = [
  ...(['ASSET_POCKETBASE_FIELDS', 'ASSET_POCKETBASE_HIDDEN_FIELDS', 'ASSET_POCKETBASE_DEFAULTS'] as const),
] as const;

/** The field names in one of the settings. */
function namesIn(setting: (typeof SETTINGS_OF_NAMES)[number], setup: PocketBaseSetup): readonly string[] {
  switch (setting) {
    case 'ASSET_POCKETBASE_FIELDS':
      return FIELDS.map((ours) => setup.map[ours]).filter(
        (name, index) => name !== DEFAULT_FIELDS[FIELDS[index]!],
      );
    case 'ASSET_POCKETBASE_HIDDEN_FIELDS':
      return setup.hiddenFields.filter((name) => !(name in setup.legacyFields));
    case 'ASSET_POCKETBASE_DEFAULTS':
      return Object.keys(setup.defaults);
  }
}

/** The probable name and the existing ones. */
export function suggest(name: string, there: readonly { readonly name: string }[]): string {
  const names = there.map((one) => one.name);
  // Two wrong letters, or a third of a long name.
  const options = { maxDistance: Math.max(2, Math.floor(name.length / 3)) };
  const lower = names.map((one) => one.toLowerCase());
  const nearest = closestMatch(name.toLowerCase(), lower, options);
  const meant = nearest === undefined ? '' : ` Did you mean "${names[lower.indexOf(nearest)]}"?`;
  return `${meant} ${names.length === 0 ? 'It has none.' : `There are: ${names.join(', ')}.`}`;
}
