import { setTimeout as sleep } from 'node:timers/promises';
import type { Dialect, Kysely, RawBuilder } from 'kysely';
import type { MigratorProps } from 'kysely/migration';
import { isAssetError } from '../../errors.ts';
import type { SetupFault } from '../../setup-fault.ts';
import { unavailable } from '../call.ts';
import type { CatalogFinding } from '../file-catalog.ts';
import type { Tables } from './tables.ts';

/** The tables in which Kysely keeps what was migrated. */
export type MigrationTables = Pick<
  MigratorProps,
  'migrationTableName' | 'migrationLockTableName' | 'migrationTableSchema'
>;

/** What tells one SQL database from another; everything else is one query layer. */
export interface SqlBackend {
  readonly kind: 'postgres' | 'sqlite';
  /** Opens the database for calls. */
  openDialect(): Dialect;
  /** Opens it once more for migrations, which may take as long as they need. */
  openMigrationDialect(): Dialect;
  /** Opens it to look at its schema, and changes nothing; undefined if there is no database yet. */
  openReadingDialect(): Dialect | undefined;
  /** What the operator has to know before the database is used. Nothing, where left out. */
  readonly inspect?: (db: Kysely<Tables>) => Promise<readonly CatalogFinding[]>;
  /** Which tables keep the migrations that were applied; Kysely's own where left out. `mayCreate` lets it make a schema for them. */
  readonly migrationTables?: (
    db: Kysely<Tables>,
    options: { readonly mayCreate: boolean },
  ) => Promise<MigrationTables>;
  /** Resolves if the database can be read and written. */
  probe(db: Kysely<Tables>): Promise<void>;
  /** The database's clock in milliseconds: one clock, however many replicas there are. */
  readonly now: RawBuilder<number>;
  /** The relations of a row of `files`, as a JSON array of name and target, in order. */
  readonly relations: RawBuilder<string>;
  /** Types of columns, as the database calls them. */
  readonly types: { readonly text: RawBuilder<unknown>; readonly json: RawBuilder<unknown> } & {
    readonly bytes: RawBuilder<unknown>;
  };
  /** True if a transaction must lock the rows that it decides by; false if there is one writer at a time. */
  readonly locksRows: boolean;
  /** Rejects with CATALOG_UNAVAILABLE if the database takes nothing new, since its disk is about to run full. */
  assertRoom(): Promise<void>;
  /** What an error of the database means. */
  classify(error: unknown): SqlFault;
  /** What of the set-up an error points at, if it does. */
  setupFault(error: unknown): SetupFault | undefined;
}

/**
 * - `retry`: another transaction was in the way and nothing was written;
 * - `down`: the database is not in order, whatever was asked of it;
 * - `bug`: what was asked was wrong.
 */
export type SqlFault = 'retry' | 'down' | 'bug';

const ATTEMPTS_MS = 8_000;

/** Runs a call, repeats it while other transactions are in its way, and says what its errors mean. */
export async function withRetries<T>(backend: SqlBackend, work: () => Promise<T>): Promise<T> {
  const end = Date.now() + ATTEMPTS_MS;
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (isAssetError(error)) throw error;
      const fault = backend.classify(error);
      if (fault === 'bug') throw error;
      if (fault === 'down' || Date.now() > end) throw unavailable(backend.setupFault(error) ?? error);
      await sleep(Math.random() * Math.min(100, 2 ** attempt));
    }
  }
}
