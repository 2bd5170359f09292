import type { Kysely, RawBuilder } from 'kysely';
import type { Tables } from './tables.ts';

/**
 * Takes or renews a lease in one statement that changes nothing while another holder has it.
 *
 * @param now - the database's clock
 * @returns false if another holder has it
 */
export async function acquireLease(
  db: Kysely<Tables>,
  lease: { readonly name: string; readonly holder: string; readonly expireTime: Date },
  now: RawBuilder<number>,
): Promise<boolean> {
  const { name, holder, expireTime } = lease;
  const taken = await db
    .insertInto('leases')
    .values({ name, holder, expire_time: expireTime.getTime() })
    .onConflict((conflict) =>
      conflict
        .column('name')
        .doUpdateSet({ holder, expire_time: expireTime.getTime() })
        .where((row) => row.or([row('leases.holder', '=', holder), row('leases.expire_time', '<=', now)])),
    )
    .returning('name')
    .executeTakeFirst();
  return taken !== undefined;
}

/** Releases a lease if the holder still has it. */
export async function releaseLease(db: Kysely<Tables>, name: string, holder: string): Promise<void> {
  await db.deleteFrom('leases').where('name', '=', name).where('holder', '=', holder).execute();
}
