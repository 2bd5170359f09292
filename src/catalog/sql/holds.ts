import { sql, type Kysely } from 'kysely';
import type { ClosedHold, Hold, JsonValue, SweepCursor } from '../file-catalog.ts';
import { oldestOf } from '../catalog-call.ts';
import { behind } from './rows.ts';
import type { Tables } from './tables.ts';

/** The tables of holds by kind. The columns that the sweeper needs have the same names in both. */
const TABLES = { reservation: 'reservations', upload: 'uploads' } as const;
type Kind = keyof typeof TABLES;

/** Closes what expired before `now`; returns due closed holds after `after`, oldest first. */
export async function takeClosed(
  db: Kysely<Tables>,
  now: Date,
  limit: number,
  after: SweepCursor | undefined,
): Promise<readonly ClosedHold[]> {
  for (const kind of ['reservation', 'upload'] as const) await closeExpired(db, kind, now, limit, after);
  const reservations = await withFileIds(closedOnes(db, 'reservation', now, limit, after)).execute();
  const sessions = await closedOnes(db, 'upload', now, limit, after).select(['revision', 'state']).execute();
  return oldestOf([...reservations.map(toReservation), ...sessions.map(toSession)], limit);
}

/** What {@link takeClosed} would return. */
export async function listPast(
  db: Kysely<Tables>,
  now: Date,
  limit: number,
  after: SweepCursor | undefined,
): Promise<readonly Hold[]> {
  // Each query is answered in order from an index.
  const lists = [expiredOnes, closedOnes];
  const [reserved, sessions] = await Promise.all([
    Promise.all(lists.map((list) => withFileIds(list(db, 'reservation', now, limit, after)).execute())),
    Promise.all(lists.map((list) => list(db, 'upload', now, limit, after).execute())),
  ]);
  const holds: Hold[] = [...reserved.flat().map(toReservation), ...sessions.flat().map(toHold)];
  return oldestOf(holds, limit);
}

/** Removes a closed hold. */
export async function forget(db: Kysely<Tables>, { kind, id }: Pick<Hold, 'kind' | 'id'>): Promise<void> {
  await db.deleteFrom(tableOf(kind)).where('id', '=', id).where('closed', '=', 1).execute();
}

async function closeExpired(
  db: Kysely<Tables>,
  kind: Kind,
  now: Date,
  limit: number,
  after: SweepCursor | undefined,
): Promise<void> {
  await db
    .updateTable(tableOf(kind))
    .set({ closed: 1, ...(kind === 'upload' && { request_key: null }) })
    .where('id', 'in', expiredOnes(db, kind, now, limit, after).clearSelect().select('id'))
    // Checked again, because the hold may have been extended since it was read.
    .where('closed', '=', 0)
    .where('expire_time', '<', now.getTime())
    .execute();
}

function expiredOnes(
  db: Kysely<Tables>,
  kind: Kind,
  now: Date,
  limit: number,
  after: SweepCursor | undefined,
) {
  return inOrder(db, kind, limit, after).where('closed', '=', 0).where('expire_time', '<', now.getTime());
}

function closedOnes(
  db: Kysely<Tables>,
  kind: Kind,
  now: Date,
  limit: number,
  after: SweepCursor | undefined,
) {
  return inOrder(db, kind, limit, after).where('closed', '=', 1).where('expire_time', '<=', now.getTime());
}

function inOrder(db: Kysely<Tables>, kind: Kind, limit: number, after: SweepCursor | undefined) {
  return db
    .selectFrom(tableOf(kind))
    .select(['id', 'expire_time'])
    .$if(after !== undefined, (query) => query.where(behind('expire_time', after!)))
    .orderBy('expire_time')
    .orderBy('id')
    .limit(limit);
}

function withFileIds(query: ReturnType<typeof inOrder>) {
  return query.select(sql<string>`cast(file_ids as text)`.as('file_ids'));
}

/** The table of a kind, typed as one of them: only common columns are used without checking the kind. */
function tableOf(kind: Kind): 'uploads' {
  return TABLES[kind] as 'uploads';
}

interface Row {
  readonly id: string;
  readonly expire_time: number | string;
}

function toHold(row: Row) {
  return {
    ...{ kind: 'upload' as const, id: row.id, fileIds: [row.id] },
    expireTime: new Date(Number(row.expire_time)),
  };
}

/** Parses on access, so that unreadable data fails only this hold and not the whole sweep. */
function toReservation(row: Row & { readonly file_ids: string }) {
  return {
    kind: 'reservation' as const,
    id: row.id,
    expireTime: new Date(Number(row.expire_time)),
    get fileIds() {
      return JSON.parse(row.file_ids) as string[];
    },
  };
}

function toSession(row: Row & { readonly revision: number | string; readonly state: string }) {
  return {
    ...toHold(row),
    revision: Number(row.revision),
    get state() {
      return JSON.parse(row.state) as JsonValue;
    },
  };
}
