import { randomUUID } from 'node:crypto';
import { sql, type Kysely, type RawBuilder, type SqlBool, type Transaction } from 'kysely';
import { cursorExpired } from '../../errors/changes.ts';
import { decodeCursor, encodeCursor, type ChangePosition } from '../change-cursor.ts';
import type { ChangePage, Changes, ChangeType } from '../changes.ts';
import type { CatalogCall, FileRecord } from '../file-catalog.ts';
import type { SqlBackend, SqlChangeLog } from './backend.ts';
import { recordFromJson, recordToJson } from './rows.ts';
import type { SqlRun } from './sessions.ts';
import type { Tables } from './tables.ts';

/** Appends a change to the log in the transaction that makes it. */
export async function appendChange(
  trx: Transaction<Tables>,
  now: RawBuilder<number>,
  type: ChangeType,
  record: FileRecord,
): Promise<void> {
  const row = { id: randomUUID(), type, time: now, record: recordToJson(record) };
  await sql`
    insert into file_changes (id, type, time, record)
    values (${row.id}, ${row.type}, ${row.time}, ${row.record})`.execute(trx);
}

/** The type of an update from `old` to `changed`. */
export function typeOfUpdate(old: FileRecord, changed: FileRecord): ChangeType {
  if (!old.deleteTime === !changed.deleteTime) return 'updated';
  return changed.deleteTime ? 'deleted' : 'undeleted';
}

/**
 * Adds the first row of an empty log, which is no change: its position is before all others, and its id tells this
 * log from any other.
 */
export async function beginLog(
  db: Kysely<Tables>,
  { position }: SqlChangeLog,
  now: RawBuilder<number>,
): Promise<void> {
  await sql`
    insert into file_changes (${columns(position)}, id, type, time, record)
    values (${sql.join(position.map(() => sql`'0'`))}, ${randomUUID()}, 'begin', ${now}, '')
    on conflict do nothing`.execute(db);
}

interface Row {
  readonly xid?: string;
  readonly seq: number | string;
  readonly id: string;
  readonly type: ChangeType | 'begin';
  readonly time: number | string;
  readonly record: string;
  /** True if the log has rows of another server. */
  readonly is_foreign: boolean | number;
}

/** The change log in an SQL database. */
export class SqlChanges implements Changes {
  readonly #backend: SqlBackend;
  readonly #run: SqlRun;

  /** @param run - of the catalog */
  constructor(backend: SqlBackend, run: SqlRun) {
    this.#backend = backend;
    this.#run = run;
  }

  position(at: 'now' | 'earliest', call?: CatalogCall): Promise<string> {
    return this.#run(call, async (db) => {
      const find = () => this.#rows(db, { limit: 1, newestFirst: at === 'now' });
      let [row] = await find();
      if (!row || row.is_foreign) {
        await this.#restartIfForeign(db);
        await beginLog(db, this.#log, this.#backend.now);
        [row] = await find();
      }
      return this.#cursorOf(row!);
    });
  }

  read(cursor: string, limit: number, call?: CatalogCall): Promise<ChangePage> {
    return this.#run(call, async (db) => {
      const { kind } = this.#backend;
      const from = decodeCursor(kind, this.#log.position.length, cursor);
      // The row of the cursor comes first, if it is still there.
      const [last, ...rows] = await this.#rows(db, { from, limit: limit + 1 });
      if (last?.id !== from.id || last.is_foreign) {
        await this.#restartIfForeign(db);
        throw cursorExpired();
      }
      const changes = rows.map((row) => {
        const record = recordFromJson(row.record);
        return {
          ...{ id: row.id, cursor: this.#cursorOf(row), type: row.type as ChangeType },
          ...{ fileId: record.id, revision: record.revision, time: new Date(Number(row.time)), record },
        };
      });
      return { changes, cursor: changes.at(-1)?.cursor ?? cursor };
    });
  }

  trim(before: Date, limit: number, call?: CatalogCall): Promise<number> {
    return this.#run(call, async (db) => {
      const rows = await this.#rows(db, { limit: limit + 1, withoutRecord: true });
      const young = rows.findIndex(({ time }) => Number(time) >= before.getTime());
      const old = young < 0 ? rows : rows.slice(0, young);
      const last = old.at(-1);
      if (!last || old.length === 1) return 0;
      await sql`delete from file_changes where ${this.#compare('<', this.#positionOf(last))}`.execute(db);
      return old.length - 1;
    });
  }

  lag(call?: CatalogCall): Promise<number> {
    return this.#run(call, async (db) => {
      const { rows } = await sql<{ age: number | string | null }>`
        select ${this.#backend.now} - min(time) as age from file_changes where not (${this.#log.readable})`.execute(
        db,
      );
      return Math.max(0, Number(rows[0]!.age ?? 0));
    });
  }

  get #log(): SqlChangeLog {
    return this.#backend.changes;
  }

  /** The first readable rows from a position on, that one included. */
  async #rows(
    db: Kysely<Tables>,
    query: {
      readonly from?: ChangePosition;
      readonly limit: number;
      readonly newestFirst?: boolean;
      readonly withoutRecord?: boolean;
    },
  ): Promise<readonly Row[]> {
    const { position, readable } = this.#log;
    const record = query.withoutRecord ? sql`''` : sql.ref('record');
    const direction = query.newestFirst ? sql`desc` : sql`asc`;
    const { rows } = await sql<Row>`
      select ${columns(position)}, id, type, time, ${record} as record, ${this.#isForeign} as is_foreign
      from file_changes
      where ${readable} and ${query.from ? this.#compare('>=', query.from.at) : sql`true`}
      order by ${sql.join(position.map((name) => sql`${sql.ref(name)} ${direction}`))}
      limit ${query.limit}`.execute(db);
    return rows;
  }

  /** The condition that a row is at or after a position, or before it. */
  #compare(operator: '>=' | '<', at: readonly string[]): RawBuilder<SqlBool> {
    const { position } = this.#log;
    const values = position.map((name, i) => sql`cast(${at[i]} as ${sql.raw(TYPES[name])})`);
    return sql<SqlBool>`(${columns(position)}) ${sql.raw(operator)} (${sql.join(values)})`;
  }

  #positionOf(row: Row): readonly string[] {
    return this.#log.position.map((name) => String(row[name]));
  }

  #cursorOf(row: Row): string {
    return encodeCursor(this.#backend.kind, { at: this.#positionOf(row), id: row.id });
  }

  /** Whether the log has rows of another server. */
  get #isForeign(): RawBuilder<unknown> {
    const { foreign } = this.#log;
    return foreign ? sql`(select exists (select 1 from file_changes where ${foreign}))` : sql`false`;
  }

  /**
   * Begins the log anew if it was restored from a dump into another server. Its numbers of transactions are then some
   * that this server has yet to reach: new changes would stand before old ones.
   */
  async #restartIfForeign(db: Kysely<Tables>): Promise<void> {
    if (!this.#log.foreign) return;
    await db.transaction().execute(async (trx) => {
      const { rows } = await sql<Pick<Row, 'is_foreign'>>`select ${this.#isForeign} as is_foreign`.execute(
        trx,
      );
      if (!rows[0]!.is_foreign) return;
      await trx.deleteFrom('file_changes').execute();
      await beginLog(trx, this.#log, this.#backend.now);
    });
  }
}

/** Types of the columns of a position. */
const TYPES = { xid: 'xid8', seq: 'bigint' } as const;

function columns(names: readonly string[]) {
  return sql.join(names.map((name) => sql.ref(name)));
}
