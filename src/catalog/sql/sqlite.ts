import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { setImmediate } from 'node:timers/promises';
import { sql, SqliteAdapter, SqliteDialect, type SqlBool, type SqliteDatabase } from 'kysely';
import { LRUCache } from 'lru-cache';
import { directoryFault, SetupFault } from '../../errors/setup-fault.ts';
import type { FileCatalog } from '../file-catalog.ts';
import type { SqlBackend, SqlFault } from './backend.ts';
import { findingsOfLater, laterSteps } from './later-steps.ts';
import { DiskSpace } from '../../system/disk-space.ts';
import { makePrivate, makePrivateFile } from '../../system/private-files.ts';
import { SqlCatalog } from './sql-catalog.ts';
import { catalogUnavailable } from '../../errors/dependencies.ts';

/** Options of {@link sqliteBackend}. */
export interface SqliteOptions {
  /** Path of the database file, created if it does not exist. Its directory must exist, on a local disk. */
  readonly path: string;
  /** Disk space that must stay free: see {@link DiskSpace}. */
  readonly minFreeBytes?: number | undefined;
}

/** Opens the catalog in an SQLite file, which other processes of the machine may use at the same time. */
export function openSqliteCatalog(options: SqliteOptions): FileCatalog {
  return new SqlCatalog(sqliteBackend(options));
}

/** Maximum wait inside SQLite for another process, in milliseconds. It blocks this whole process. */
const BUSY_TIMEOUT_MS = 20;

/** The SQLite side of the SQL catalog. */
export function sqliteBackend(options: SqliteOptions): SqlBackend {
  const space = new DiskSpace(dirname(options.path), options.minFreeBytes);
  const openDialect = () => new TransactionalSqliteDialect({ database: async () => open(options.path) });
  return {
    kind: 'sqlite',
    openDialect,
    openMigrationDialect: openDialect,
    openReadingDialect: () =>
      existsSync(options.path)
        ? new TransactionalSqliteDialect({ database: async () => openReadOnly(options.path) })
        : undefined,
    // A check must not create the database.
    inspect: async (db) => (existsSync(options.path) ? findingsOfLater(await laterSteps(db)) : []),
    probe: async (db) => void (await db.selectFrom('files').select('id').limit(1).execute()),
    now: sql<number>`cast(unixepoch('subsec') * 1000 as integer)`,
    // In primary key order, so that no sort is needed.
    relations: sql<string>`(
      select json_group_array(json_array(r.name, r.target)) from (
        select name, target from file_relations where file_id = files.id order by name, position
      ) r
    )`,
    types: { text: sql`text`, json: sql`text`, bytes: sql`blob` },
    changes: {
      position: ['seq'],
      // Without AUTOINCREMENT, which writes one more page: the last row always stays, so no number is given twice.
      createTable: async (db) =>
        void (await sql`
          create table file_changes (
            seq integer primary key,
            id text not null,
            type text not null,
            time integer not null,
            record text not null
          )`.execute(db)),
      // There is one writer at a time, so rows are committed in their order.
      readable: sql<SqlBool>`true`,
    },
    locksRows: false,
    writesAtOnce: false,
    async assertRoom() {
      // SQLite itself reports a missing directory.
      const shortage = await space.shortage().catch(() => undefined);
      if (shortage) throw catalogUnavailable(shortage, 'full');
    },
    giveTurn: () => setImmediate(),
    classify,
    setupFault: (error) => setupFault(error, options.path),
  };
}

/** SQLite can roll back schema changes, which Kysely does not assume. */
class TransactionalSqliteDialect extends SqliteDialect {
  override createAdapter(): SqliteAdapter {
    return new (class extends SqliteAdapter {
      override get supportsTransactionalDdl(): boolean {
        return true;
      }
    })();
  }
}

function open(path: string): SqliteDatabase {
  // SQLite would create a file that everybody can read; the files beside it get the mode of this one.
  makePrivateFile(path);
  for (const beside of ['-wal', '-shm']) makePrivate(path + beside);
  const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
  // FULL, because in WAL mode a power failure may otherwise undo commits.
  database.exec('pragma journal_mode = wal; pragma synchronous = full');
  return withStatements(database);
}

function openReadOnly(path: string): SqliteDatabase {
  return withStatements(new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS, readOnly: true }));
}

function withStatements(database: DatabaseSync): SqliteDatabase {
  const statements = new LRUCache<string, StatementSync>({ max: 200 });
  return {
    close: () => database.close(),
    prepare: (text) => {
      let statement = statements.get(text);
      if (!statement) {
        // Every transaction of the catalog writes. A transaction that reads first and then wants to write cannot
        // wait for another writer, and fails.
        statement = database.prepare(text === 'begin' ? 'begin immediate' : text);
        statements.set(text, statement);
      }
      return {
        reader: statement.columns().length > 0,
        all: (values) => statement.all(...(values as SQLInputValue[])),
        run: (values) => statement.run(...(values as SQLInputValue[])),
        iterate: (values) => statement.iterate(...(values as SQLInputValue[])),
      };
    },
  };
}

/** SQLite result codes: busy and locked; then constraint, mismatch and range. */
const RETRY = new Set([5, 6]);
const BUG = new Set([19, 20, 25]);
const FULL = 13;

function classify(error: unknown): SqlFault {
  const { code, errcode } = (error ?? {}) as { code?: unknown; errcode?: unknown };
  if (code !== 'ERR_SQLITE_ERROR' || typeof errcode !== 'number') {
    // A file that cannot be opened fails before SQLite has a code.
    return typeof code === 'string' && code.startsWith('ERR_INVALID') ? 'bug' : 'down';
  }
  // The lower byte is the primary code, the rest its variant.
  const kind = errcode & 0xff;
  if (kind === FULL) return 'full';
  return RETRY.has(kind) ? 'retry' : BUG.has(kind) ? 'bug' : 'down';
}

/** What SQLite's primary result codes say about the file. */
const FAULTS: Readonly<Record<number, string>> = {
  3: 'this user may not use the file',
  8: 'the file is read-only for this user',
  10: 'the disk fails',
  11: 'the file is damaged',
  13: 'the disk is full',
  14: 'the file cannot be opened',
  26: 'the file is no SQLite database',
};

function setupFault(error: unknown, path: string): SetupFault | undefined {
  const { errcode, message = '' } = (error ?? {}) as { errcode?: number; message?: string };
  if (errcode === undefined) return directoryFault(error);
  const text = FAULTS[errcode & 0xff];
  if (text !== undefined)
    return new SetupFault('directory', `${path}: ${text} (SQLite ${errcode}: ${message})`, error);
  if (/^no such (table|column)/.test(message)) return new SetupFault('schema', `SQLite: ${message}`, error);
  return undefined;
}
