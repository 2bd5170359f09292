import type { CatalogCall } from '../file-catalog.ts';
import type { StoredSubscription, Subscriptions } from '../subscriptions.ts';
import type { SqlRun } from './sessions.ts';

const COLUMNS = ['key', 'revision', 'state'] as const;

/** Subscriptions in an SQL database. */
export class SqlSubscriptions implements Subscriptions {
  readonly #run: SqlRun;

  /** @param run - of the catalog */
  constructor(run: SqlRun) {
    this.#run = run;
  }

  get(key: string, call?: CatalogCall): Promise<StoredSubscription | undefined> {
    return this.#run(call, async (db) => {
      const row = await db
        .selectFrom('subscriptions')
        .select(COLUMNS)
        .where('key', '=', key)
        .executeTakeFirst();
      return row && toSubscription(row);
    });
  }

  list(owner: string, limit: number, call?: CatalogCall): Promise<readonly StoredSubscription[]> {
    return this.#run(call, async (db) => {
      const rows = await db
        .selectFrom('subscriptions')
        .select(COLUMNS)
        .where('owner', '=', owner)
        .orderBy('key')
        .limit(limit)
        .execute();
      return rows.map(toSubscription);
    });
  }

  create(key: string, owner: string, state: string, call?: CatalogCall): Promise<boolean> {
    return this.#run(call, async (db) => {
      const { numInsertedOrUpdatedRows } = await db
        .insertInto('subscriptions')
        .values({ key, owner, state, revision: 1 })
        .onConflict((conflict) => conflict.doNothing())
        .executeTakeFirst();
      return (numInsertedOrUpdatedRows ?? 0n) > 0n;
    });
  }

  update(key: string, revision: string, state: string, call?: CatalogCall): Promise<boolean> {
    return this.#run(call, async (db) => {
      if (!isRevision(revision)) return false;
      const { numUpdatedRows } = await db
        .updateTable('subscriptions')
        .set({ state, revision: Number(revision) + 1 })
        .where('key', '=', key)
        .where('revision', '=', Number(revision))
        .executeTakeFirst();
      return numUpdatedRows > 0n;
    });
  }

  remove(key: string, revision: string, call?: CatalogCall): Promise<boolean> {
    return this.#run(call, async (db) => {
      if (!isRevision(revision)) return false;
      const { numDeletedRows } = await db
        .deleteFrom('subscriptions')
        .where('key', '=', key)
        .where('revision', '=', Number(revision))
        .executeTakeFirst();
      return numDeletedRows > 0n;
    });
  }
}

function toSubscription(row: { key: string; revision: number | string; state: string }): StoredSubscription {
  return { key: row.key, revision: String(row.revision), state: row.state };
}

/** False for a revision of another kind of catalog, from which the subscription was moved meanwhile. */
function isRevision(text: string): boolean {
  return /^\d{1,15}$/.test(text);
}
