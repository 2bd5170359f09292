import { setTimeout as sleep } from 'node:timers/promises';
import type { Kysely, Transaction } from 'kysely';
import type {
  CatalogCall,
  JsonValue,
  UploadChange,
  UploadClaim,
  Uploads,
  UploadSession,
  UsageClaim,
} from '../file-catalog.ts';
import type { Tables } from './tables.ts';
import { isStorable } from '../storable.ts';
import { catalogUnavailable, idTaken } from '../../errors/dependencies.ts';

/** Runs work on the database within the limits of a call. */
export type SqlRun = <T>(
  call: CatalogCall | undefined,
  work: (db: Kysely<Tables>) => Promise<T>,
) => Promise<T>;

/** How often to try to open a session whose request key is taken by one that is closed at each look. */
const ATTEMPTS = 10;

/** The upload sessions in an SQL database; a part of `SqlUploads`. */
export class SqlSessions {
  protected readonly run: SqlRun;
  protected readonly assertRoom: () => Promise<void>;

  /**
   * @param run - of the catalog
   * @param assertRoom - rejects if there is no room for new sessions
   */
  constructor(run: SqlRun, assertRoom: () => Promise<void>) {
    this.run = run;
    this.assertRoom = assertRoom;
  }

  open(session: Parameters<Uploads['open']>[0], call?: CatalogCall) {
    return this.run(call, async (db) => {
      await this.assertRoom();
      const { id, requestKey = null } = session;
      const row = {
        ...{ id, revision: 1, state: JSON.stringify(session.state), closed: 0 },
        expire_time: session.expireTime.getTime(),
        request_key: requestKey,
        ...claimColumns(session.claim),
      };
      for (let attempt = 1; ; attempt++) {
        const opened = await db
          .insertInto('uploads')
          .values(row)
          .onConflict((conflict) => conflict.doNothing())
          .returning(COLUMNS)
          .executeTakeFirst();
        if (opened) return { status: 'opened', session: toSession(opened) } as const;
        const earlier = await db
          .selectFrom('uploads')
          .select([...COLUMNS, 'request_key'])
          .where((row) => row.or([row('request_key', '=', requestKey), row('id', '=', id)]))
          .execute();
        const taken = earlier.find((one) => requestKey !== null && one.request_key === requestKey);
        if (taken) return { status: 'request-taken', session: toSession(taken) } as const;
        if (earlier.length > 0) throw idTaken('upload');
        if (attempt === ATTEMPTS)
          throw catalogUnavailable(new Error('a request key is taken and freed all the time'));
        await sleep(20 * attempt * Math.random());
      }
    });
  }

  get(id: string, call?: CatalogCall): Promise<UploadSession | undefined> {
    return this.run(call, async (db) => {
      if (!isStorable(id)) return undefined;
      const row = await db
        .selectFrom('uploads')
        .select(COLUMNS)
        .where('id', '=', id)
        .where('closed', '=', 0)
        .executeTakeFirst();
      return row && toSession(row);
    });
  }

  find(requestKey: string, call?: CatalogCall): Promise<UploadSession | undefined> {
    return this.run(call, async (db) => {
      const open = db.selectFrom('uploads').select(COLUMNS).where('closed', '=', 0);
      const row = await open.where('request_key', '=', requestKey).executeTakeFirst();
      return row && toSession(row);
    });
  }

  claimsOf(owner: string, call?: CatalogCall): Promise<readonly UsageClaim[]> {
    return this.run(call, async (db) => (isStorable(owner) ? sumClaims(db, owner) : []));
  }

  countOf(caller: string, limit: number, call?: CatalogCall): Promise<number> {
    return this.run(call, (db) => countSessions(db, caller, limit));
  }

  update(
    id: string,
    revision: number,
    change: UploadChange,
    call?: CatalogCall,
  ): Promise<UploadSession | undefined> {
    return this.run(call, async (db) => {
      const row = await openAt(db, id, revision)
        .set({
          state: JSON.stringify(change.state),
          expire_time: change.expireTime.getTime(),
          revision: revision + 1,
          ...(change.sizeBytes !== undefined && { size_bytes: change.sizeBytes }),
        })
        .returning(COLUMNS)
        .executeTakeFirst();
      return row && toSession(row);
    });
  }

  close(id: string, revision: number, sweepTime: Date, call?: CatalogCall): Promise<boolean> {
    return this.run(call, async (db) => {
      const { numUpdatedRows } = await openAt(db, id, revision)
        .set({ closed: 1, expire_time: sweepTime.getTime(), request_key: null })
        .executeTakeFirst();
      return numUpdatedRows > 0n;
    });
  }
}

/** An open session, locked until the transaction ends; no row if there is none at this revision. */
export function heldSession(db: Kysely<Tables>, id: string, revision: number, locksRows: boolean) {
  return db
    .selectFrom('uploads')
    .select('id')
    .where('id', '=', id)
    .where('revision', '=', revision)
    .where('closed', '=', 0)
    .$if(locksRows, (query) => query.forUpdate());
}

/** Removes a session that the transaction has locked. */
export async function removeSession(trx: Transaction<Tables>, id: string): Promise<void> {
  await trx.deleteFrom('uploads').where('id', '=', id).execute();
}

const COLUMNS = ['id', 'revision', 'state', 'expire_time'] as const;

function openAt(db: Kysely<Tables>, id: string, revision: number) {
  return db
    .updateTable('uploads')
    .where('id', '=', id)
    .where('revision', '=', revision)
    .where('closed', '=', 0);
}

function toSession(row: {
  id: string;
  revision: number | string;
  state: string;
  expire_time: number | string;
}): UploadSession {
  return {
    id: row.id,
    revision: Number(row.revision),
    state: JSON.parse(row.state) as JsonValue,
    expireTime: new Date(Number(row.expire_time)),
  };
}

/** The columns of a session's claim. */
function claimColumns(claim: UploadClaim | undefined) {
  const { caller = '', owner = '', usage = '', sizeBytes = 0 } = claim ?? {};
  return { caller, owner, usage, size_bytes: sizeBytes };
}

/** The claims of an owner's open sessions, one element per usage. */
async function sumClaims(db: Kysely<Tables>, owner: string): Promise<readonly UsageClaim[]> {
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
async function countSessions(db: Kysely<Tables>, caller: string, limit: number): Promise<number> {
  const mine = db.selectFrom('uploads').select('id').where('caller', '=', caller).where('closed', '=', 0);
  return (await mine.limit(limit).execute()).length;
}
