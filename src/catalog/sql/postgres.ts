import { PostgresAdapter, PostgresDialect, sql, type Kysely } from 'kysely';
import { SetupFault, type SetupPart } from '../../setup-fault.ts';
import type { FileCatalog } from '../file-catalog.ts';
import type { SqlBackend, SqlFault } from './backend.ts';
import { openPostgresPool, sqlState } from './postgres-pool.ts';
import { inspectPostgres, schemaForMigrations } from './postgres-schema.ts';
import { readPostgresUrl } from './postgres-url.ts';
import { SqlCatalog } from '../sql.ts';

/** How to open a {@link postgresBackend}. */
export interface PostgresOptions {
  /** What {@link readPostgresUrl} reads. */
  readonly url: string;
  /** Greatest number of connections of this process. */
  readonly maxConnections?: number;
}

/**
 * Opens the catalog in a PostgreSQL, or in what speaks its protocol. Connects with the first call.
 *
 * @throws TypeError if the URL cannot be read
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
    // Not now(), which stands still for the length of a transaction.
    now: sql<number>`cast(floor(extract(epoch from clock_timestamp()) * 1000) as bigint)`,
    relations: sql<string>`cast((
      select coalesce(json_agg(json_build_array(r.name, r.target) order by r.name, r.position), '[]')
      from file_relations r where r.file_id = files.id
    ) as text)`,
    // Order by bytes: the same on every server, whatever its locale.
    types: { text: sql`text collate "C"`, json: sql`jsonb`, bytes: sql`bytea` },
    locksRows: true,
    // Its disk is the server's.
    assertRoom: () => Promise.resolve(),
    classify,
    setupFault,
  };
}

/** Number of the advisory lock of migrations, which others who use the database have no use for. */
const MIGRATION_LOCK = 5_263_170_911;

/** Migrates under a lock that ends with the transaction. That of Kysely stays in the connection, which a pooler gives to others. */
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
  // Data that does not fit, a broken constraint.
  if (state?.startsWith('22') || state?.startsWith('23')) return 'bug';
  const name = (error as Error | undefined)?.name;
  return name === 'TypeError' || name === 'RangeError' || name === 'ReferenceError' ? 'bug' : 'down';
}

/** What of the set-up each SQLSTATE points at; the message of the server says the rest, and holds no secret. */
const FAULTS: readonly (readonly [RegExp, SetupPart])[] = [
  [/^28/, 'login'],
  // No such database; one that is read-only.
  [/^(3D000|25006)$/, 'database'],
  // A schema of the search path, a table or a column.
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
