import type { Kysely } from 'kysely';
import type { UploadClaim, UsageClaim } from '../file-catalog.ts';
import type { Tables } from './tables.ts';

/** The columns of a session's claim. */
export function claimColumns(claim: UploadClaim | undefined) {
  const { caller = '', owner = '', usage = '', sizeBytes = 0 } = claim ?? {};
  return { caller, owner, usage, size_bytes: sizeBytes };
}

/** The claims of an owner's open sessions, one element per usage. */
export async function sumClaims(db: Kysely<Tables>, owner: string): Promise<readonly UsageClaim[]> {
  const rows = await db
    .selectFrom('uploads')
    .select(({ fn }) => ['usage', fn.countAll().as('files'), fn.sum('size_bytes').as('bytes')])
    .where('owner', '=', owner)
    .where('closed', '=', 0)
    .where('caller', '!=', '')
    .groupBy('usage')
    .execute();
  return rows.map(({ usage, files, bytes }) => ({ usage, files: Number(files), bytes: Number(bytes) }));
}

/** Number of a caller's open sessions, counted up to `limit`. */
export async function countSessions(db: Kysely<Tables>, caller: string, limit: number): Promise<number> {
  const mine = db.selectFrom('uploads').select('id').where('caller', '=', caller).where('closed', '=', 0);
  return (await mine.limit(limit).execute()).length;
}
