import { randomUUID } from 'node:crypto';
import type { Kysely, Transaction } from 'kysely';
import type { Reservation } from '../file-catalog.ts';
import type { Tables } from './tables.ts';

/** Opens a reservation. */
export async function openReservation(
  db: Kysely<Tables>,
  fileIds: readonly string[],
  expireTime: Date,
): Promise<Reservation> {
  const id = randomUUID();
  const row = { id, file_ids: JSON.stringify(fileIds), expire_time: expireTime.getTime(), closed: 0 };
  await db.insertInto('reservations').values(row).execute();
  return { id, fileIds: [...fileIds] };
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

/** Adds a reservation that is closed from the start. */
export async function addClosedReservation(db: Kysely<Tables>, fileId: string, now: Date): Promise<void> {
  const row = {
    id: randomUUID(),
    file_ids: JSON.stringify([fileId]),
    expire_time: now.getTime(),
    closed: 1,
  };
  await db.insertInto('reservations').values(row).execute();
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

/** Closes what expired before `now`, and returns closed reservations, oldest first. */
export async function takeClosedReservations(
  db: Kysely<Tables>,
  now: Date,
  limit: number,
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
        .orderBy('expire_time')
        .limit(limit),
    )
    // Once more, for one that was prolonged between the two looks at it.
    .where('closed', '=', 0)
    .where('expire_time', '<', now.getTime())
    .execute();
  const rows = await select(db)
    .where('closed', '=', 1)
    .orderBy('expire_time')
    .orderBy('id')
    .limit(limit)
    .execute();
  return rows.map(toReservation);
}

/** Removes a closed reservation. */
export async function forgetReservation(db: Kysely<Tables>, id: string): Promise<void> {
  await db.deleteFrom('reservations').where('id', '=', id).where('closed', '=', 1).execute();
}

/** What {@link takeClosedReservations} would return, in no order. */
export async function listPastReservations(
  db: Kysely<Tables>,
  now: Date,
  limit: number,
): Promise<readonly Reservation[]> {
  const rows = await select(db)
    .where((row) => row.or([row('closed', '=', 1), row('expire_time', '<', now.getTime())]))
    .limit(limit)
    .execute();
  return rows.map(toReservation);
}

function select(db: Kysely<Tables>) {
  return db
    .selectFrom('reservations')
    .select((row) => ['id', row.cast<string>('file_ids', 'text').as('file_ids')]);
}

function toReservation(row: { id: string; file_ids: string }): Reservation {
  return { id: row.id, fileIds: JSON.parse(row.file_ids) as string[] };
}
