import { randomUUID } from 'node:crypto';
import type { Kysely } from 'kysely';
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
  return { id, fileIds: [...fileIds], expireTime };
}

/** An open reservation, which cannot be closed until the transaction ends; no row if it is not open. */
export function heldReservation(db: Kysely<Tables>, id: string, locksRows: boolean) {
  return (
    db
      .selectFrom('reservations')
      .select('id')
      .where('id', '=', id)
      .where('closed', '=', 0)
      // A shared lock: other files of the reservation need not wait.
      .$if(locksRows, (query) => query.forShare())
  );
}

/** Extends an open reservation; false if it is not open. */
export async function extendReservation(db: Kysely<Tables>, id: string, expireTime: Date): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('reservations')
    .set({ expire_time: expireTime.getTime() })
    .where('id', '=', id)
    .where('closed', '=', 0)
    .executeTakeFirst();
  return numUpdatedRows > 0n;
}

/** Adds a closed reservation with the id of its one file. */
export async function addClosedReservation(db: Kysely<Tables>, fileId: string, now: Date): Promise<void> {
  const row = {
    id: fileId,
    file_ids: JSON.stringify([fileId]),
    expire_time: now.getTime(),
    closed: 1,
  };
  // An existing row has the same content.
  const same = db.insertInto('reservations').values(row);
  await same.onConflict((conflict) => conflict.doNothing()).execute();
}

/** Closes an open reservation; removes it if it has no leftovers. */
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
    // Due immediately.
    .set({ closed: 1, file_ids: JSON.stringify(leftoverIds), expire_time: Date.now() })
    .where('id', '=', id)
    .where('closed', '=', 0)
    .execute();
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
