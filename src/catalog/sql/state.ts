import { sql, type Kysely, type RawBuilder, type Transaction } from 'kysely';
import type { JsonValue } from '../catalog-call.ts';
import {
  legacyUseKey,
  type StateItem,
  type StateKind,
  type StatePage,
  type StateValues,
} from '../transfer.ts';
import type { Tables } from './tables.ts';

type Row = Readonly<Record<string, string | number | null>>;

/** How a kind is stored. */
interface Stored<Kind extends StateKind> {
  readonly table: keyof Tables;
  /** The columns of the primary key, all of type text. */
  readonly keys: readonly string[];
  /** JSON columns, which are read as text. */
  readonly json?: readonly string[];
  readonly columns: readonly string[];
  readonly read: (row: Row) => StateValues[Kind];
  readonly write: (value: StateValues[Kind]) => Row;
  /** Columns that an import of an existing item sets otherwise. */
  readonly replaced?: Readonly<Record<string, RawBuilder<unknown>>>;
}

const STORED: { readonly [Kind in StateKind]: Stored<Kind> } = {
  reservation: {
    ...{ table: 'reservations', keys: ['id'], columns: ['file_ids', 'expire_time', 'closed'] },
    json: ['file_ids'],
    read: (row) => ({
      fileIds: JSON.parse(row['file_ids'] as string) as string[],
      expireTime: Number(row['expire_time']),
      closed: Number(row['closed']) === 1,
    }),
    write: ({ fileIds, expireTime, closed }) => ({
      ...{ file_ids: JSON.stringify(fileIds), expire_time: expireTime, closed: closed ? 1 : 0 },
    }),
  },
  upload: {
    ...{ table: 'uploads', keys: ['id'] },
    columns: [
      ...['revision', 'state', 'expire_time', 'request_key'],
      ...['caller', 'owner', 'usage', 'size_bytes', 'closed'],
    ],
    read: (row) => ({
      revision: Number(row['revision']),
      state: JSON.parse(row['state'] as string) as JsonValue,
      expireTime: Number(row['expire_time']),
      requestKey: (row['request_key'] as string | null) ?? '',
      caller: row['caller'] as string,
      owner: row['owner'] as string,
      usage: row['usage'] as string,
      sizeBytes: Number(row['size_bytes']),
      closed: Number(row['closed']) === 1,
    }),
    write: ({ revision, state, expireTime, requestKey, closed, sizeBytes, ...claim }) => ({
      ...{ revision, state: JSON.stringify(state), expire_time: expireTime, closed: closed ? 1 : 0 },
      ...{ request_key: requestKey || null, size_bytes: sizeBytes },
      ...{ caller: claim.caller, owner: claim.owner, usage: claim.usage },
    }),
  },
  lease: {
    ...{ table: 'leases', keys: ['name'], columns: ['holder', 'expire_time'] },
    read: (row) => ({ holder: row['holder'] as string, expireTime: Number(row['expire_time']) }),
    write: ({ holder, expireTime }) => ({ holder, expire_time: expireTime }),
  },
  subscription: {
    ...{ table: 'subscriptions', keys: ['key'], columns: ['owner', 'state'] },
    read: (row) => ({ owner: row['owner'] as string, state: row['state'] as string }),
    // Higher than any count of changes, so that it is no revision which somebody has read before.
    write: ({ owner, state }) => ({ owner, state, revision: Date.now() }),
    replaced: { revision: sql`subscriptions.revision + 1` },
  },
  'legacy-use': {
    ...{ table: 'legacy_uses', keys: ['caller', 'kind', 'day'], columns: ['count'] },
    read: (row) => ({ count: Number(row['count']) }),
    write: ({ count }) => ({ count }),
  },
  'legacy-state': {
    ...{ table: 'legacy_state', keys: ['name'], columns: ['value'] },
    read: (row) => ({ value: JSON.parse(row['value'] as string) as JsonValue }),
    write: ({ value }) => ({ value: JSON.stringify(value) }),
  },
};

/** The next items of a kind. */
export async function exportState<Kind extends StateKind>(
  db: Kysely<Tables>,
  kind: Kind,
  from: string | undefined,
  limit: number,
): Promise<StatePage<Kind>> {
  const { table, keys, json = [], columns, read } = STORED[kind];
  const selected = columns.map((name) =>
    json.includes(name) ? sql`cast(${sql.ref(name)} as text) as ${sql.ref(name)}` : sql.ref(name),
  );
  const names = sql.join(keys.map((name) => sql.ref(name)));
  const after = from === undefined ? undefined : (JSON.parse(from) as readonly string[]);
  const { rows } = await sql<Row>`
    select ${sql.join([...keys.map((name) => sql.ref(name)), ...selected])} from ${sql.table(table)}
    where ${after ? sql`(${names}) > (${sql.join(after)})` : sql`true`}
    order by ${names} limit ${limit}`.execute(db);
  const last = rows.at(-1);
  const items = rows.map((row) => ({ kind, key: keyOf(kind, row), value: read(row) }));
  const next = last && rows.length === limit ? JSON.stringify(keys.map((name) => last[name])) : undefined;
  return { items: items as unknown as readonly StateItem<Kind>[], next };
}

/** Writes items; replaces existing ones. */
export async function importState(trx: Transaction<Tables>, items: readonly StateItem[]): Promise<void> {
  for (const { kind, key, value } of items) {
    const { table, keys, write, replaced = {} } = STORED[kind] as Stored<StateKind>;
    if (kind === 'upload' && value.requestKey !== '') await freeRequestKey(trx, key, value.requestKey);
    const row: Row = { ...keyColumns(kind, key), ...write(value) };
    const columns = Object.keys(row);
    const changed = columns.filter((name) => !keys.includes(name));
    const sets = changed.map(
      (name) => sql`${sql.ref(name)} = ${replaced[name] ?? sql.ref(`excluded.${name}`)}`,
    );
    await sql`
      insert into ${sql.table(table)} (${sql.join(columns.map((name) => sql.ref(name)))})
      values (${sql.join(columns.map((name) => row[name]))})
      on conflict (${sql.join(keys.map((name) => sql.ref(name)))}) do update set ${sql.join(sets)}`.execute(
      trx,
    );
  }
}

/** Removes items. */
export async function dropState(
  trx: Transaction<Tables>,
  kind: StateKind,
  keys: readonly string[],
): Promise<void> {
  for (const key of keys) {
    const conditions = Object.entries(keyColumns(kind, key)).map(
      ([name, value]) => sql`${sql.ref(name)} = ${value}`,
    );
    await sql`delete from ${sql.table(STORED[kind].table)} where ${sql.join(conditions, sql` and `)}`.execute(
      trx,
    );
  }
}

async function freeRequestKey(trx: Transaction<Tables>, id: string, requestKey: string): Promise<void> {
  const others = trx.updateTable('uploads').set({ request_key: null }).where('id', '!=', id);
  await others.where('request_key', '=', requestKey).execute();
}

function keyOf(kind: StateKind, row: Row): string {
  if (kind !== 'legacy-use') return row[STORED[kind].keys[0]!] as string;
  const [caller, use, day] = STORED[kind].keys.map((name) => row[name] as string);
  return legacyUseKey({ caller: caller!, kind: use!, day: day! });
}

function keyColumns(kind: StateKind, key: string): Row {
  const { keys } = STORED[kind];
  const values = kind === 'legacy-use' ? (JSON.parse(key) as readonly string[]) : [key];
  return Object.fromEntries(keys.map((name, i) => [name, values[i]!]));
}
