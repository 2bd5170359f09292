import { setTimeout as sleep } from 'node:timers/promises';
import type { Dialect, Kysely, RawBuilder, SqlBool } from 'kysely';
import type { MigratorProps } from 'kysely/migration';
import { isAssetError } from '../../errors/asset-error.ts';
import { catalogUnavailable } from '../../errors/dependencies.ts';
import type { SetupFault } from '../../errors/setup-fault.ts';
import type { CatalogFinding } from '../file-catalog.ts';
import type { Tables } from './tables.ts';

/** Kysely's tables for applied migrations. */
export type MigrationTables = Pick<
  MigratorProps,
  'migrationTableName' | 'migrationLockTableName' | 'migrationTableSchema'
>;

/** How the change log is kept in the order of commits. */
export interface SqlChangeLog {
  /** The columns of a position, in order. */
  readonly position: readonly ('xid' | 'seq')[];
  /** Creates the table `file_changes` without rows. */
  createTable(db: Kysely<Tables>): Promise<void>;
  /** True for a row if no change can still be committed before it. */
  readonly readable: RawBuilder<SqlBool>;
  /**
   * True for a row whose position was given by another server and may be ahead of this one's: the log was restored
   * there from a dump. Omitted if that cannot be.
   */
  readonly foreign?: RawBuilder<SqlBool>;
}

/** The differences between SQL databases; everything else is one query layer. */
export interface SqlBackend {
  readonly kind: 'postgres' | 'sqlite';
  /** Opens the database for calls. */
  openDialect(): Dialect;
  /** Opens the database for migrations, without a time limit. */
  openMigrationDialect(): Dialect;
  /** Opens the database to read its schema; undefined if there is no database yet. */
  openReadingDialect(): Dialect | undefined;
  /** Findings for the operator before the database is used; none if omitted. */
  readonly inspect?: (db: Kysely<Tables>) => Promise<readonly CatalogFinding[]>;
  /** The tables for applied migrations; default Kysely's. `mayCreate` permits creating a schema for them. */
  readonly migrationTables?: (
    db: Kysely<Tables>,
    options: { readonly mayCreate: boolean },
  ) => Promise<MigrationTables>;
  /** Prepares the transaction of a migration, once it is this replica's turn; nothing if omitted. */
  readonly beginSteps?: (db: Kysely<Tables>) => Promise<void>;
  /** Resolves if the database can be read and written. */
  probe(db: Kysely<Tables>): Promise<void>;
  /** The database's clock in milliseconds, the same for all replicas. */
  readonly now: RawBuilder<number>;
  /** The relations of a row of `files`, as a JSON array of name and target, in order. */
  readonly relations: RawBuilder<string>;
  /** Column types of the database. */
  readonly types: { readonly text: RawBuilder<unknown>; readonly json: RawBuilder<unknown> } & {
    readonly bytes: RawBuilder<unknown>;
  };
  /** The change log. */
  readonly changes: SqlChangeLog;
  /** True if a transaction must lock the rows it depends on; false if there is only one writer at a time. */
  readonly locksRows: boolean;
  /** True if one statement may write several tables, which saves a transaction of several round trips. */
  readonly writesAtOnce: boolean;
  /** Rejects with CATALOG_UNAVAILABLE if the disk is almost full. */
  assertRoom(): Promise<void>;
  /**
   * Lets the process do other work before a query. Omitted if every query waits for the network anyway: a loop over
   * an embedded database would otherwise block timers, signals and all other calls until its end.
   */
  readonly giveTurn?: () => Promise<void>;
  /** The kind of a database error. */
  classify(error: unknown): SqlFault;
  /** What in the setup causes an error, if known. */
  setupFault(error: unknown): SetupFault | undefined;
}

/**
 * - `retry`: another transaction interfered and nothing was written;
 * - `down`: the database does not work, whatever the request;
 * - `full`: it has no room for new rows;
 * - `bug`: the request was wrong.
 */
export type SqlFault = 'retry' | 'down' | 'full' | 'bug';

const ATTEMPTS_MS = 8_000;

/** Runs a call, retries it if other transactions interfere, and converts its errors. */
export async function withRetries<T>(backend: SqlBackend, work: () => Promise<T>): Promise<T> {
  const end = Date.now() + ATTEMPTS_MS;
  for (let attempt = 1; ; attempt++) {
    try {
      await backend.giveTurn?.();
      return await work();
    } catch (error) {
      if (isAssetError(error)) throw error;
      const fault = backend.classify(error);
      if (fault === 'bug') throw error;
      const cause = backend.setupFault(error) ?? error;
      if (fault === 'full') throw catalogUnavailable(cause, 'full');
      if (fault === 'down' || Date.now() > end) throw catalogUnavailable(cause);
      await sleep(Math.random() * Math.min(100, 2 ** attempt));
    }
  }
}
