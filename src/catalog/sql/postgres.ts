import { PostgresAdapter, PostgresDialect, sql, type Kysely } from 'kysely';
import { SetupFault, type SetupPart } from '../../errors/setup-fault.ts';
import type { FileCatalog } from '../file-catalog.ts';
import type { SqlBackend, SqlFault } from './backend.ts';
import { openPostgresPool, sqlState } from './postgres-pool.ts';
import { inspectPostgres, schemaForMigrations } from './postgres-schema.ts';
import { readPostgresUrl } from './postgres-url.ts';
import { SqlCatalog } from '../sql.ts';

/** Options of {@link postgresBackend}. */
export interface PostgresOptions {
  /** See {@link readPostgresUrl}. */
  readonly url: string;
  /** Maximum number of connections of this process. */
  readonly maxConnections?: number;
}

/**
 * Creates the catalog in PostgreSQL or a compatible server. It connects with the first call.
 *
 * @throws TypeError if the URL is invalid
 */
export function openPostgresCatalog(options: PostgresOptions): FileCatalog {
  return new SqlCatalog(postgresBackend(options));
}

const STATEMENT_TIMEOUT_MS = 7_000;

/** The PostgreSQL side of the SQL catalog. */
export function postgresBackend({ url, maxConnections = 16 }: PostgresOptions): SqlBackend {
  const target = readPostgresUrl(url);
  const openOne = () => new PoolableDialect({ pool: openPostgresPool(target, { max: 1 }) });
  return {
    kind: 'postgres',
    openDialect: () =>
      new PoolableDialect({
        pool: openPostgresPool(target, { max: maxConnections, statementTimeoutMs: STATEMENT_TIMEOUT_MS }),
      }),
    openMigrationDialect: openOne,
    openReadingDialect: openOne,
    inspect: (db) => inspectPostgres(db, target.schema),
    migrationTables: (db, { mayCreate }) => schemaForMigrations(db, mayCreate ? target.schema : undefined),
    async probe(db) {
      const { rows } = await sql<{ read_only: string }>`
        select current_setting('transaction_read_only') as read_only, (select 1 from files limit 1)`.execute(
        db,
      );
      if (rows[0]?.read_only !== 'on') return;
      throw new SetupFault('database', 'it is read-only, as a replica is: name the primary server');
    },
    // Not now(), which stays the same during a transaction.
    now: sql<number>`cast(floor(extract(epoch from clock_timestamp()) * 1000) as bigint)`,
    relations: sql<string>`cast((
      select coalesce(json_agg(json_build_array(r.name, r.target) order by r.name, r.position), '[]')
      from file_relations r where r.file_id = files.id
    ) as text)`,
    // Byte order, the same on every server whatever its locale.
    types: { text: sql`text collate "C"`, json: sql`jsonb`, bytes: sql`bytea` },
    locksRows: true,
    // The server is responsible for its disk.
    assertRoom: () => Promise.resolve(),
    classify,
    setupFault,
  };
}

/** Key of the advisory lock of migrations; an arbitrary number that other users of the database do not use. */
const MIGRATION_LOCK = 5_263_170_911;

/**
 * Migrates under a lock that ends with the transaction. Kysely's lock stays in the connection, which a pooler gives
 * to others.
 */
class PoolableDialect extends PostgresDialect {
  override createAdapter(): PostgresAdapter {
    return new (class extends PostgresAdapter {
      override async acquireMigrationLock(db: Kysely<unknown>): Promise<void> {
        await sql`select pg_advisory_xact_lock(${sql.lit(MIGRATION_LOCK)})`.execute(db);
      }
      override releaseMigrationLock(): Promise<void> {
        return Promise.resolve();
      }
    })();
  }
}

function classify(error: unknown): SqlFault {
  const state = sqlState(error);
  // Serialization failure, deadlock.
  if (state === '40001' || state === '40P01') return 'retry';
  // Data that does not fit, a violated constraint.
  if (state?.startsWith('22') || state?.startsWith('23')) return 'bug';
  const name = (error as Error | undefined)?.name;
  return name === 'TypeError' || name === 'RangeError' || name === 'ReferenceError' ? 'bug' : 'down';
}

/** The part of the setup for each SQLSTATE; the server's message says the rest and contains no secret. */
const FAULTS: readonly (readonly [RegExp, SetupPart])[] = [
  [/^28/, 'login'],
  // The database does not exist, or is read-only.
  [/^(3D000|25006)$/, 'database'],
  // A missing schema, table or column.
  [/^(3F000|42P01|42703)$/, 'schema'],
  [/^42501$/, 'permission'],
];

function setupFault(error: unknown): SetupFault | undefined {
  const state = sqlState(error);
  const { message = '' } = (error ?? {}) as { message?: string };
  const part = FAULTS.find(([pattern]) => pattern.test(state ?? ''))?.[1];
  if (part !== undefined) return new SetupFault(part, `PostgreSQL answers: ${message} (${state})`, error);
  // Errors of the client itself have no code.
  if (/SSL connections/i.test(message)) return new SetupFault('address', message, error);
  if (/must be a string|SASL/.test(message))
    return new SetupFault('login', `the server wants a password: ${message}`, error);
  if (state !== undefined) return undefined;
  if (/timeout/i.test(message)) return new SetupFault('address', 'there is no answer in time', error);
  if (/^Connection (terminated|ended)/.test(message)) {
    return new SetupFault('address', `the connection was closed without an answer (${message})`, error);
  }
  return undefined;
}
