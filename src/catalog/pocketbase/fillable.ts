import type { AssetError } from '../../errors/asset-error.ts';
import { setupRefused } from '../../errors/dependencies.ts';
import type { JsonValue } from '../file-catalog.ts';
import { isEmpty, matchesPattern } from './defaults.ts';
import { settingKey, type FieldName } from './field-map.ts';
import type { Collection, CollectionField, PocketBaseSetup } from './collection.ts';

/** Why the service cannot work with a PocketBase, for its operator. */
export interface Mistake {
  /** The collection, or `collection.field`. */
  readonly field: string;
  /** Names the setting or field and says what to do. */
  readonly text: string;
}

/** Parts of a record that are, or may be, empty when it is created; the caller cannot change that. */
const EMPTY_AT_FIRST = [
  ...(['createdFor', 'deleteTime', 'purgeTime', 'requestKey', 'revision'] as const),
] satisfies FieldName[];

/** An id in the service's format. */
const AN_ID = 'abcdefghij01234';

/**
 * Why PocketBase would refuse every new record, or the second one, whatever the caller sends: required fields that
 * neither caller nor service can fill, unique indexes over fields that new records leave empty, and ids of another
 * format.
 */
export function unfillableFields(collection: Collection, setup: PocketBaseSetup): readonly Mistake[] {
  const mistakes: Mistake[] = [];
  const add = (field: string, text: string) =>
    mistakes.push({ field: `${collection.name}.${field}`, text: `${collection.name}.${field} ${text}` });
  const ours = new Map(EMPTY_AT_FIRST.map((name) => [setup.map[name], name]));
  const others = collection.fields.filter((field) => !field.system && isOutOfReach(field, setup));
  for (const field of collection.fields.filter((one) => one.required && !one.system)) {
    const name = ours.get(field.name);
    if (name !== undefined) {
      add(
        field.name,
        `is required, but a new file may have no ${settingKey(name)}. Make it optional in PocketBase.`,
      );
    } else if (others.includes(field) && !isFilled(field, setup)) {
      add(
        field.name,
        `is required, and no upload can fill it. Make it optional in PocketBase${orGiveDefault(field)}.`,
      );
    }
  }
  const same = others.filter((field) => !field['autogeneratePattern']).map(({ name }) => name);
  for (const index of collection.indexes) {
    const columns = columnsOfUnique(index);
    if (columns?.length && columns.every((column) => same.includes(column))) {
      add(
        columns.join(', '),
        `has a unique index, and no upload can fill it: the second one is refused. ` +
          `Drop the index in PocketBase, or end it with: where \`${columns[0]}\` != ''.`,
      );
    }
  }
  const id = collection.fields.find(({ name }) => name === 'id');
  if (id && !takesOurIds(id)) {
    add(
      'id',
      `does not take the ids of the service, 15 of [a-z0-9]. Widen its length and pattern in PocketBase.`,
    );
  }
  return mistakes;
}

/** Why PocketBase would refuse some files, which may be intended. */
export function doubtfulFields(collection: Collection, { map }: PocketBaseSetup): readonly string[] {
  const size = collection.fields.find(({ name }) => name === map.sizeBytes);
  if (!size?.required) return [];
  const path = `${collection.name}.${size.name}`;
  return [
    `${path} is required, so PocketBase refuses empty files. Make it optional there if they are to be stored.`,
  ];
}

/** True if no caller can write the field and the service does not. */
function isOutOfReach(field: CollectionField, setup: PocketBaseSetup): boolean {
  if (Object.values(setup.map).includes(field.name)) return false;
  return field.hidden === true || field.type === 'password' || isLegacyLink(field, setup);
}

/** True for a legacy link: a file field, or one named in the settings. */
function isLegacyLink({ name, type }: CollectionField, { hiddenFields }: PocketBaseSetup): boolean {
  return type === 'file' || hiddenFields.includes(name);
}

/** True for a required legacy link: a new file has none, so a migration makes it optional. */
export function isRequiredLink(field: CollectionField, setup: PocketBaseSetup): boolean {
  return field.required === true && isLegacyLink(field, setup) && !isFilled(field, setup);
}

function isFilled(field: CollectionField, { defaults }: PocketBaseSetup): boolean {
  // PocketBase generates the value of a text field with such a pattern.
  return Boolean(field['autogeneratePattern']) || !isEmpty(defaults[field.name]);
}

function orGiveDefault(field: CollectionField): string {
  if (field.type === 'password') return '';
  const example = JSON.stringify({ [field.name]: exampleFor(field) });
  return `, or give new records a value by ASSET_POCKETBASE_DEFAULTS, such as ${example}`;
}

const EXAMPLES: Readonly<Record<string, JsonValue>> = {
  ...{
    number: 1,
    bool: true,
    json: { a: 1 },
    geoPoint: { lon: 1, lat: 1 },
    date: '2000-01-01 00:00:00.000Z',
  },
  ...{ email: 'nobody@example.com', url: 'https://example.com', relation: 'the id of a record' },
};

function exampleFor({ type, values }: CollectionField): JsonValue {
  if (Array.isArray(values)) return values[0] as JsonValue;
  return EXAMPLES[type] ?? '-';
}

/** The columns of a unique index over all records; undefined for other indexes. */
function columnsOfUnique(index: string): readonly string[] | undefined {
  const [, list] = /^\s*create\s+unique\s+index\b.*?\son\s+\S+\s*\(([^()]*)\)\s*;?\s*$/is.exec(index) ?? [];
  return list?.split(',').map((column) => /[\w]+/.exec(column)?.[0] ?? '');
}

function takesOurIds({ min, max, pattern }: CollectionField): boolean {
  const fits = (limit: unknown, ok: (limit: number) => boolean) =>
    typeof limit !== 'number' || limit === 0 || ok(limit);
  return (
    fits(min, (least) => AN_ID.length >= least) &&
    fits(max, (most) => AN_ID.length <= most) &&
    (typeof pattern !== 'string' || matchesPattern(pattern, AN_ID))
  );
}

/** The error with these mistakes for the operator. */
export function setupError(mistakes: readonly Mistake[]): AssetError {
  const [first] = mistakes;
  const message = `PocketBase and the settings do not fit together:\n  ${mistakes.map(({ text }) => text).join('\n  ')}`;
  return setupRefused(message, first?.field ?? '');
}
