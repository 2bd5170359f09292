import { randomUUID } from 'node:crypto';
import type { Kysely, Transaction } from 'kysely';
import type { Reservation, SweepCursor } from '../file-catalog.ts';
import { oldestOf } from '../oldest.ts';
import { behind, type Tables } from './tables.ts';

/** Opens a reservation. */
export async function openReservation(
  db: Kysely<Tables>,
  fileIds: readonly string[],
  expireTime: Date,
): Promise<Reservation> {
  const id = randomUUID();
  const row = { id, file_ids: JSON.stringify(fileIds), expire_time: expireTime.getTime(), closed: 0 };
  await db.insertInto('reservations').values(row).execute();
  return { id, fileIds: [...fileIds], expireTime };
}

/** Keeps a reservation from being closed until the transaction is over; false if it is closed or gone. */
export async function holdReservation(
  trx: Transaction<Tables>,
  id: string,
  locksRows: boolean,
): Promise<boolean> {
  const open = await trx
    .selectFrom('reservations')
    .select('id')
    .where('id', '=', id)
    .where('closed', '=', 0)
    // Other files of the reservation need not wait.
    .$if(locksRows, (query) => query.forShare())
    .executeTakeFirst();
  return open !== undefined;
}

/** Moves the expiry of an open reservation; false if it is not open. */
export async function extendReservation(db: Kysely<Tables>, id: string, expireTime: Date): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('reservations')
    .set({ expire_time: expireTime.getTime() })
    .where('id', '=', id)
    .where('closed', '=', 0)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

/** Adds a reservation that is closed from the start, under the id of its one file. */
export async function addClosedReservation(db: Kysely<Tables>, fileId: string, now: Date): Promise<void> {
  const row = {
    id: fileId,
    file_ids: JSON.stringify([fileId]),
    expire_time: now.getTime(),
    closed: 1,
  };
  // What is there already says the same.
  const same = db.insertInto('reservations').values(row);
  await same.onConflict((conflict) => conflict.doNothing()).execute();
}

/** Closes an open reservation, and removes it if nothing of it is left over. */
export async function closeReservation(
  db: Kysely<Tables>,
  id: string,
  leftoverIds: readonly string[],
): Promise<void> {
  if (leftoverIds.length === 0) {
    await db.deleteFrom('reservations').where('id', '=', id).where('closed', '=', 0).execute();
    return;
  }
  await db
    .updateTable('reservations')
    .set({ closed: 1, file_ids: JSON.stringify(leftoverIds) })
    .where('id', '=', id)
    .where('closed', '=', 0)
    .execute();
}

/** Closes what expired before `now`, and returns closed reservations behind `after`, oldest first. */
export async function takeClosedReservations(
  db: Kysely<Tables>,
  now: Date,
  limit: number,
  after: SweepCursor | undefined,
): Promise<readonly Reservation[]> {
  await db
    .updateTable('reservations')
    .set({ closed: 1 })
    .where('id', 'in', (expired) =>
      expired
        .selectFrom('reservations')
        .select('id')
        .where('closed', '=', 0)
        .where('expire_time', '<', now.getTime())
        .$if(after !== undefined, (query) => query.where(behind('expire_time', after!)))
        .orderBy('expire_time')
        .orderBy('id')
        .limit(limit),
    )
    // Once more, for one that was prolonged between the two looks at it.
    .where('closed', '=', 0)
    .where('expire_time', '<', now.getTime())
    .execute();
  return (await closedOnes(db, limit, after).execute()).map(toReservation);
}

/** Keeps only some ids of a closed reservation. */
export async function keepLeftovers(
  db: Kysely<Tables>,
  id: string,
  leftoverIds: readonly string[],
): Promise<void> {
  await db
    .updateTable('reservations')
    .set({ file_ids: JSON.stringify(leftoverIds) })
    .where('id', '=', id)
    .where('closed', '=', 1)
    .execute();
}

/** Removes a closed reservation. */
export async function forgetReservation(db: Kysely<Tables>, id: string): Promise<void> {
  await db.deleteFrom('reservations').where('id', '=', id).where('closed', '=', 1).execute();
}

/** What {@link takeClosedReservations} would return. */
export async function listPastReservations(
  db: Kysely<Tables>,
  now: Date,
  limit: number,
  after: SweepCursor | undefined,
): Promise<readonly Reservation[]> {
  const expired = inOrder(db, limit, after).where('closed', '=', 0).where('expire_time', '<', now.getTime());
  // Two queries, each of which an index answers in order.
  const rows = [...(await closedOnes(db, limit, after).execute()), ...(await expired.execute())];
  return oldestOf(rows.map(toReservation), limit);
}

/** The files that are due to be purged behind `after`, those that are longest due first. */
export function purgeableQuery(db: Kysely<Tables>, now: Date, limit: number, after: SweepCursor | undefined) {
  return db
    .selectFrom('files')
    .select(['id', 'revision', 'purge_time'])
    .where('purge_time', '<=', now.getTime())
    .where('delete_time', 'is not', null)
    .$if(after !== undefined, (query) => query.where(behind('purge_time', after!)))
    .orderBy('purge_time')
    .orderBy('id')
    .limit(limit);
}

function closedOnes(db: Kysely<Tables>, limit: number, after: SweepCursor | undefined) {
  return inOrder(db, limit, after).where('closed', '=', 1);
}

function inOrder(db: Kysely<Tables>, limit: number, after: SweepCursor | undefined) {
  return db
    .selectFrom('reservations')
    .select((row) => ['id', 'expire_time', row.cast<string>('file_ids', 'text').as('file_ids')])
    .$if(after !== undefined, (query) => query.where(behind('expire_time', after!)))
    .orderBy('expire_time')
    .orderBy('id')
    .limit(limit);
}

function toReservation(row: { id: string; file_ids: string; expire_time: number | string }): Reservation {
  return {
    id: row.id,
    expireTime: new Date(Number(row.expire_time)),
    // Read when it is asked for: one row that cannot be read must not keep the sweeper from the others.
    get fileIds() {
      return JSON.parse(row.file_ids) as string[];
    },
  };
}
