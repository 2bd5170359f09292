import { PostgresDialect, sql, type PostgresPool, type PostgresPoolClient } from 'kysely';
import pg from 'pg';
import { SetupFault, type SetupPart } from '../../setup-fault.ts';
import type { FileCatalog } from '../file-catalog.ts';
import type { SqlBackend, SqlFault } from './backend.ts';
import { SqlCatalog } from '../sql.ts';

/** How to open a {@link postgresBackend}. */
export interface PostgresOptions {
  /** `postgres://user:password@host:port/database`, with `sslmode` and the like as libpq has them. */
  readonly url: string;
  /** Greatest number of connections of this process. */
  readonly maxConnections?: number;
}

/** Opens the catalog in a PostgreSQL, or in what speaks its protocol. Connects with the first call. */
export function openPostgresCatalog(options: PostgresOptions): FileCatalog {
  return new SqlCatalog(postgresBackend(options));
}

const CONNECT_TIMEOUT_MS = 4_000;
const QUERY_TIMEOUT_MS = 8_000;

/** The PostgreSQL side of the SQL catalog. */
export function postgresBackend(options: PostgresOptions): SqlBackend {
  const connection = {
    connectionString: options.url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    application_name: 'asset-service',
  };
  return {
    kind: 'postgres',
    openDialect: () =>
      new PostgresDialect({
        pool: openPool({
          ...connection,
          max: options.maxConnections ?? 16,
          // The server gives up first, so that what the caller is told has happened.
          statement_timeout: QUERY_TIMEOUT_MS - 1_000,
          query_timeout: QUERY_TIMEOUT_MS,
        }),
      }),
    openMigrationDialect: () => new PostgresDialect({ pool: openPool({ ...connection, max: 1 }) }),
    openReadingDialect: () => new PostgresDialect({ pool: openPool({ ...connection, max: 1 }) }),
    // Not now(), which stands still for the length of a transaction.
    now: sql<number>`cast(floor(extract(epoch from clock_timestamp()) * 1000) as bigint)`,
    relations: sql<string>`cast((
      select coalesce(json_agg(json_build_array(r.name, r.target) order by r.name, r.position), '[]')
      from file_relations r where r.file_id = files.id
    ) as text)`,
    // Order by bytes: the same on every server, whatever its locale.
    types: { text: sql`text collate "C"`, json: sql`jsonb`, bytes: sql`bytea` },
    locksRows: true,
    classify,
    setupFault,
  };
}

/** A pool that lets go of a connection that timed out or broke, where Kysely would use it again. */
function openPool(config: pg.PoolConfig): PostgresPool {
  const pool = new pg.Pool(config);
  // A connection that breaks while nobody waits for it would end the process; the next call opens another.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  return {
    options: pool.options,
    end: () => pool.end(),
    connect: async () => {
      const client = await pool.connect();
      let broken: Error | undefined;
      const query = async (text: string, values: readonly unknown[]) => {
        // Else the rollback would wait for the same silence again.
        if (broken) throw broken;
        try {
          return await client.query(text, [...values]);
        } catch (error) {
          if (sqlState(error) === undefined) broken = error as Error;
          throw error;
        }
      };
      return {
        query: query as unknown as PostgresPoolClient['query'],
        release: (destroy?: boolean) => client.release(destroy === true || broken !== undefined),
      };
    },
  };
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
  [/^3D000$/, 'database'],
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

/** The code of an error that the server sent; undefined for one of the connection. */
function sqlState(error: unknown): string | undefined {
  const { code, severity } = (error ?? {}) as { code?: unknown; severity?: unknown };
  return typeof code === 'string' && severity !== undefined ? code : undefined;
}
