/** Default field of the collection for each part of a record. */
export const DEFAULT_FIELDS = {
  name: 'name',
  contentType: 'content_type',
  sizeBytes: 'size_bytes',
  sha256: 'sha256',
  crc32c: 'crc32c',
  owner: 'owner',
  usage: 'usage',
  createdBy: 'created_by',
  createdFor: 'created_for',
  createTime: 'created',
  updateTime: 'updated',
  deleteTime: 'delete_time',
  purgeTime: 'purge_time',
  requestKey: 'request_key',
  revision: 'revision',
} as const;

/** A part of a record with its own field. */
export type FieldName = keyof typeof DEFAULT_FIELDS;

/** Every {@link FieldName}. */
export const FIELDS = Object.keys(DEFAULT_FIELDS) as readonly FieldName[];

/** Field of the collection for each part of a record. */
export type FieldMap = Readonly<Record<FieldName, string>>;

/** PocketBase's reserved field names. */
const RESERVED = new Set(['id', 'collectionId', 'collectionName', 'expand']);

/**
 * The fields of the collection for each part of a record, and all mistakes in the names of a setting. Keys may be
 * written as in the contract (`content_type`) or as in the code (`contentType`).
 *
 * @param hiddenFields - fields with legacy links, to which nothing may be mapped
 */
export function readFieldMap(
  names: Readonly<Record<string, string>>,
  hiddenFields: readonly string[] = [],
): { readonly map: FieldMap; readonly mistakes: readonly string[] } {
  const map: Record<FieldName, string> = { ...DEFAULT_FIELDS };
  const mistakes: string[] = [];
  const given = new Map<FieldName, string>();
  for (const [key, field] of Object.entries(names)) {
    const ours = FIELDS.find((name) => name === key || settingKey(name) === key);
    if (ours === undefined) {
      mistakes.push(`"${key}" is no field of a file; the fields are ${FIELDS.map(settingKey).join(', ')}`);
      continue;
    }
    const earlier = given.get(ours);
    if (earlier !== undefined) mistakes.push(`"${earlier}" and "${key}" are the same field of a file`);
    given.set(ours, key);
    if (RESERVED.has(field)) mistakes.push(`"${key}" cannot be "${field}", which belongs to PocketBase`);
    else if (!/^\w+$/.test(field)) mistakes.push(`"${key}": "${field}" is no name of a field in PocketBase`);
    map[ours] = field;
  }
  for (const [index, ours] of FIELDS.entries()) {
    const field = map[ours];
    const other = FIELDS.slice(0, index).find((one) => map[one] === field);
    if (other) {
      mistakes.push(
        `${settingKey(other)} and ${settingKey(ours)} would both be in the field "${field}"; map one of them to another field`,
      );
    }
    if (hiddenFields.includes(field)) {
      mistakes.push(
        `${settingKey(ours)} is in the field "${field}", which is in ASSET_POCKETBASE_HIDDEN_FIELDS`,
      );
    }
  }
  return { map, mistakes };
}

/** The key of a part of a record in the setting: its name in the contract. */
export function settingKey(name: FieldName): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
