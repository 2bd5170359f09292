import type { CollectionField } from './schema.ts';

/** Collection of open reservations. Like the following ones only superusers can access it. */
export const OPEN_RESERVATIONS = 'asset_reservations';

/** Collection of closed reservations. */
export const CLOSED_RESERVATIONS = 'asset_leftovers';

/** Collection of upload sessions, open and closed. */
export const UPLOADS = 'asset_uploads';

/** Collection of leases. */
export const LEASES = 'asset_leases';

/** Collection for compare-and-set: of several changes one succeeds. */
export const REVISIONS = 'asset_revisions';

/** Collection of the change log: one record per batch that changed files. */
export const CHANGES = 'asset_changes';

/** View of the change log that adds `seq`, the position of a record: a number by one higher than that before it. */
export const CHANGE_LOG = 'asset_change_log';

/** Collection of subscriptions to changes. */
export const SUBSCRIPTIONS = 'asset_subscriptions';

/** Collection of use counts of old paths. */
export const LEGACY_USES = 'asset_legacy_uses';

/** Collection of the state of the move of old files. */
export const LEGACY_STATE = 'asset_legacy_state';

/** View of the number and bytes of the files of each owner and usage; only where there are quotas. */
export const TOTALS = 'asset_totals';

/** An id of up to 128 characters: a file's id and a suffix. */
const idField = {
  ...{ name: 'id', type: 'text', system: true, primaryKey: true, required: true },
  ...{ min: 1, max: 128, pattern: '^[A-Za-z0-9_-]+$', autogeneratePattern: '[a-z0-9]{15}' },
};

/** PocketBase checks ids case-insensitively; without this index it would read the whole collection. */
const byAnyCase = (name: string) => `create index idx_${name}_id on ${name} (id collate nocase)`;

/**
 * An id that PocketBase makes. It has no capital letters, so that PocketBase does not look for one that differs in
 * case alone.
 */
const madeIdField = { ...idField, pattern: '^[a-z0-9]+$' };

/** Room for a state of 1 MiB with all its characters escaped. */
const MAX_STATE_BYTES = 8 * 2 ** 20;

/** A collection of the service. */
export interface Helper {
  readonly name: string;
  readonly fields: readonly CollectionField[];
  readonly indexes: readonly string[];
  /** Only of a view, whose fields follow from it. */
  readonly viewQuery?: string;
}

/** The collections that the catalog needs besides that of the files. */
export const HELPERS: readonly Helper[] = [
  {
    name: OPEN_RESERVATIONS,
    fields: [
      idField,
      { name: 'file_ids', type: 'json' },
      { name: 'expire_time', type: 'date' },
      { name: 'countdown', type: 'number', min: 0 },
    ],
    indexes: [`create index idx_${OPEN_RESERVATIONS} on ${OPEN_RESERVATIONS} (expire_time)`],
  },
  {
    name: CLOSED_RESERVATIONS,
    fields: [idField, { name: 'file_ids', type: 'json' }, { name: 'expire_time', type: 'date' }],
    indexes: [`create index idx_${CLOSED_RESERVATIONS} on ${CLOSED_RESERVATIONS} (expire_time)`],
  },
  {
    name: UPLOADS,
    fields: [
      idField,
      { name: 'revision', type: 'number', onlyInt: true },
      { name: 'state', type: 'json', maxSize: MAX_STATE_BYTES },
      { name: 'expire_time', type: 'date' },
      { name: 'request_key', type: 'text', max: 64 },
      { name: 'closed', type: 'bool' },
      { name: 'caller', type: 'text', max: 64 },
      { name: 'owner', type: 'text', max: 1024 },
      { name: 'usage', type: 'text', max: 1024 },
      { name: 'size_bytes', type: 'number', onlyInt: true, min: 0 },
    ],
    indexes: [
      `create index idx_${UPLOADS} on ${UPLOADS} (closed, expire_time, id)`,
      `create index idx_${UPLOADS}_owner on ${UPLOADS} (owner, closed, id)`,
      `create index idx_${UPLOADS}_caller on ${UPLOADS} (caller, closed, id)`,
      `create unique index idx_${UPLOADS}_key on ${UPLOADS} (request_key) where request_key is not ''`,
      byAnyCase(UPLOADS),
    ],
  },
  {
    name: LEASES,
    fields: [
      idField,
      { name: 'name', type: 'text', required: true, max: 64 },
      { name: 'holder', type: 'text', required: true, max: 64 },
      { name: 'expire_time', type: 'date' },
    ],
    indexes: [`create unique index idx_${LEASES}_name on ${LEASES} (name)`],
  },
  {
    name: SUBSCRIPTIONS,
    fields: [
      madeIdField,
      { name: 'name', type: 'text', required: true, max: 64 },
      { name: 'owner', type: 'text', required: true, max: 64 },
      { name: 'state', type: 'json', maxSize: MAX_STATE_BYTES },
    ],
    indexes: [
      `create unique index idx_${SUBSCRIPTIONS}_name on ${SUBSCRIPTIONS} (name)`,
      `create index idx_${SUBSCRIPTIONS}_owner on ${SUBSCRIPTIONS} (owner, name)`,
    ],
  },
  { name: REVISIONS, fields: [idField], indexes: [byAnyCase(REVISIONS)] },
  {
    name: CHANGES,
    fields: [
      madeIdField,
      // See `LogEntry`.
      { name: 'entries', type: 'json' },
      // `<file>-<count>`: the state of the file that an update or purge replaced.
      { name: 'follows', type: 'text', max: 160 },
      // The record in that state.
      { name: 'before', type: 'json', maxSize: MAX_STATE_BYTES },
      { name: 'created', type: 'autodate', onCreate: true },
    ],
    indexes: [
      `create index idx_${CHANGES} on ${CHANGES} (created)`,
      `create index idx_${CHANGES}_follows on ${CHANGES} (follows) where follows is not ''`,
    ],
  },
  {
    name: CHANGE_LOG,
    fields: ['id', 'seq', 'entries', 'before', 'created'].map((name) => ({ name, type: 'view' })),
    indexes: [],
    viewQuery: `select id, rowid as seq, entries, before, created from ${CHANGES}`,
  },
  {
    name: LEGACY_USES,
    fields: [
      idField,
      { name: 'caller', type: 'text', max: 1024 },
      { name: 'kind', type: 'text', max: 64 },
      { name: 'day', type: 'text', max: 10 },
      { name: 'count', type: 'number', onlyInt: true },
    ],
    indexes: [`create index idx_${LEGACY_USES} on ${LEGACY_USES} (day)`],
  },
  {
    name: LEGACY_STATE,
    fields: [idField, { name: 'value', type: 'json', maxSize: MAX_STATE_BYTES }],
    indexes: [],
  },
];

/** Names of the service's collections and views. */
export const OWN_NAMES: ReadonlySet<string> = new Set([...HELPERS.map(({ name }) => name), TOTALS]);
