import { sql, type Kysely } from 'kysely';
import type { CatalogFinding } from '../file-catalog.ts';
import type { MigrationTables } from './backend.ts';
import { findingsOfLater, laterSteps } from './later-steps.ts';
import { quoteName } from './postgres-url.ts';
import type { Tables } from './tables.ts';

const TABLES = ['files', 'file_relations', 'reservations', 'uploads', 'leases', 'file_changes'] as const;

/** Kysely's default migration table, which another product in the same schema may use. */
const SHARED_TABLE = 'kysely_migration';
const OWN_TABLE = 'asset_migrations';
const FIRST_MIGRATION = '0001_files';

interface Facts {
  readonly read_only: string;
  readonly role: string;
  readonly database: string;
  readonly schema: string | null;
  readonly may_create_schema: boolean;
  readonly may_create: boolean | null;
}

/**
 * Findings about the database for the operator, for example that it is a replica, or that foreign tables have our
 * names.
 *
 * @param named - the schema in the URL
 */
export async function inspectPostgres(
  db: Kysely<Tables>,
  named: string | undefined,
): Promise<readonly CatalogFinding[]> {
  const { rows } = await sql<Facts>`
    select current_setting('transaction_read_only') as read_only, current_user as role,
      current_database() as database, current_schema() as schema,
      has_database_privilege(current_database(), 'create') as may_create_schema,
      has_schema_privilege(current_schema(), 'create') as may_create`.execute(db);
  const facts = rows[0]!;
  const { schema } = facts;
  const mistake = (text: string) => [{ level: 'mistake' as const, text: `ASSET_POSTGRES_URL: ${text}` }];
  const role = quoteName(facts.role);
  if (facts.read_only === 'on') {
    return mistake('the database is read-only. Name the primary server, not a replica of it.');
  }
  if (schema === null || (named !== undefined && schema !== named)) {
    if (named === undefined)
      return mistake(
        `the search_path of the role ${role} has no schema that it may use. Name one with ?schema=.`,
      );
    if (facts.may_create_schema) return [];
    return mistake(
      `there is no schema ${quoteName(named)} that the role ${role} may use, and it may not create one. ` +
        `Run: create schema ${quoteName(named)} authorization ${role};`,
    );
  }
  // In this order, because another replica may commit its first migration in between.
  const present = await tablesIn(db, schema);
  const applied = await appliedIn(db, schema);
  if (applied === undefined && present.length > 0 && !present.includes(OWN_TABLE)) {
    return mistake(
      `the schema ${quoteName(schema)} has a table ${present[0]} of something else. Give the service a schema of its own, ` +
        'with ?schema=assets in the URL.',
    );
  }
  if (present.length === 0 && facts.may_create !== true) {
    return mistake(
      `the role ${role} may not create tables in the schema ${quoteName(schema)}. Run: ` +
        `grant create on schema ${quoteName(schema)} to ${role}; or run \`asset-service migrate\` as a role that may.`,
    );
  }
  const closed = await closedTables(db, schema, present);
  if (closed.length === 0) {
    const later = applied === undefined ? [] : await laterSteps(db, tablesNamed(schema, applied));
    return [...findingsOfLater(later), ...(present.includes('file_changes') ? await heldBack(db) : [])];
  }
  return mistake(
    `the role ${role} may not read and write ${closed.join(', ')} in the schema ${quoteName(schema)}. Run: ` +
      `grant select, insert, update, delete on all tables in schema ${quoteName(schema)} to ${role};`,
  );
}

/** Age of unreadable changes that the operator is told of, in seconds. */
const LAG_SECONDS = 60;

/** Who holds the change log back, if somebody has for long. */
async function heldBack(db: Kysely<Tables>): Promise<readonly CatalogFinding[]> {
  const { rows: late } = await sql`
    select 1 from file_changes where xid >= pg_snapshot_xmin(pg_current_snapshot())
      and time < extract(epoch from now()) * 1000 - ${LAG_SECONDS * 1_000} limit 1`.execute(db);
  if (late.length === 0) return [];
  // Of other roles PostgreSQL shows nothing, unless this one is in pg_monitor.
  const { rows } = await sql<{ pid: number; role: string; application: string; since: string }>`
    select pid, usename as role, application_name as application,
      to_char(xact_start at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as since
    from pg_stat_activity
    where backend_xid is not null and xact_start < now() - interval '1 second' * ${LAG_SECONDS}
    order by xact_start limit 1`.execute(db);
  const who = rows.map(
    ({ pid, role, application, since }) =>
      `since ${since}: process ${pid}, role ${quoteName(role)}, application ${quoteName(application)}`,
  );
  const look = 'find it in pg_stat_activity or pg_prepared_xacts as a superuser';
  const text =
    'The change log is held back: whoever follows changes gets none until a transaction that has written ends. It is ' +
    `open ${who[0] ?? `for more than ${LAG_SECONDS} s: ${look}`}.`;
  return [{ level: 'warning', text }];
}

/**
 * The tables of our migrations: the old shared ones if this database was migrated with them, otherwise our own.
 *
 * @param create - name of a schema to create if it does not exist
 */
export async function schemaForMigrations(
  db: Kysely<Tables>,
  create: string | undefined,
): Promise<MigrationTables> {
  let schema = await currentSchema(db);
  if (create !== undefined && schema !== create) {
    await sql`create schema if not exists ${sql.id(create)}`.execute(db);
    schema = await currentSchema(db);
  }
  const applied = schema === null ? undefined : await appliedIn(db, schema);
  return tablesNamed(schema, applied ?? OWN_TABLE);
}

function tablesNamed(schema: string | null, table: string): MigrationTables {
  return {
    ...(schema !== null && { migrationTableSchema: schema }),
    ...(table !== SHARED_TABLE && { migrationTableName: table, migrationLockTableName: `${table}_lock` }),
  };
}

async function currentSchema(db: Kysely<Tables>): Promise<string | null> {
  const { rows } = await sql<{ schema: string | null }>`select current_schema() as schema`.execute(db);
  return rows[0]!.schema;
}

/** The table that records our first migration; undefined if there is none. */
async function appliedIn(db: Kysely<Tables>, schema: string): Promise<string | undefined> {
  for (const table of [OWN_TABLE, SHARED_TABLE]) {
    // One that the role may not read is of something else.
    const { rows } = await sql<{ readable: boolean | null }>`
      select has_table_privilege(to_regclass(${`${quoteName(schema)}.${table}`}), 'select') as readable`.execute(
      db,
    );
    if (rows[0]!.readable !== true) continue;
    const first = await sql`
      select 1 from ${sql.id(schema, table)} where name = ${FIRST_MIGRATION}`.execute(db);
    if (first.rows.length > 0) return table;
  }
  return undefined;
}

async function tablesIn(db: Kysely<Tables>, schema: string): Promise<readonly string[]> {
  const { rows } = await sql<{ name: string }>`
    select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = ${schema} and c.relname in (${sql.join([...TABLES, OWN_TABLE])})`.execute(db);
  return rows.map(({ name }) => name);
}

async function closedTables(
  db: Kysely<Tables>,
  schema: string,
  tables: readonly string[],
): Promise<readonly string[]> {
  const closed: string[] = [];
  for (const table of tables) {
    const rights = table === OWN_TABLE ? ['select'] : ['select', 'insert', 'update', 'delete'];
    const { rows } = await sql<{ open: boolean }>`
      select bool_and(has_table_privilege(${`${quoteName(schema)}.${table}`}, right_)) as open
      from unnest(cast(${rights} as text[])) as right_`.execute(db);
    if (!rows[0]!.open) closed.push(table);
  }
  return closed;
}
