import { Kysely, sql } from 'kysely';
import { Migrator, type Migration } from 'kysely/migration';
import { setupRefused } from '../../errors/dependencies.ts';
import { stepDone, stepPlanned, type MigrationStep } from '../migration-step.ts';
import type { SqlBackend } from './backend.ts';
import { beginLog } from './changes.ts';
import type { Tables } from './tables.ts';

/** Migrates the schema; safe to run in several replicas at once. Returns a line for each step. */
export async function migrateSql(backend: SqlBackend): Promise<readonly string[]> {
  const db = new Kysely<Tables>({ dialect: backend.openMigrationDialect() });
  try {
    // One transaction with a lock, so that one replica migrates at a time; a pooler may give each transaction
    // another connection.
    return await db.transaction().execute(async (trx) => {
      await trx.getExecutor().adapter.acquireMigrationLock(trx, NO_LOCK_TABLE);
      const mistake = (await backend.inspect?.(trx))?.find(({ level }) => level === 'mistake');
      if (mistake) throw setupRefused(mistake.text);
      const migrator = await migratorOf(trx, backend, { mayCreate: true });
      const { error, results } = await migrator.migrateToLatest();
      if (error !== undefined) throw error as Error;
      return (results ?? []).map(({ migrationName }) => stepDone(applying(migrationName)));
    });
  } finally {
    await db.destroy();
  }
}

/** Some databases lock rows of a table; ours do not need it. */
const NO_LOCK_TABLE = { lockTable: '', lockRowId: '' };

/** The steps that {@link migrateSql} would take, one line each. Only reads. */
export async function planSql(backend: SqlBackend): Promise<readonly string[]> {
  const dialect = backend.openReadingDialect();
  const all = Object.keys(migrations(backend));
  if (dialect === undefined) return all.map((name) => stepPlanned(applying(name)));
  const db = new Kysely<Tables>({ dialect });
  try {
    const steps = await (await migratorOf(db, backend, { mayCreate: false })).getMigrations();
    return steps.filter((step) => !step.executedAt).map(({ name }) => stepPlanned(applying(name)));
  } finally {
    await db.destroy();
  }
}

async function migratorOf(
  db: Kysely<Tables>,
  backend: SqlBackend,
  options: { readonly mayCreate: boolean },
): Promise<Migrator> {
  const provider = { getMigrations: async () => migrations(backend) };
  return new Migrator({ db, provider, ...(await backend.migrationTables?.(db, options)) });
}

function applying(name: string): MigrationStep {
  return { verb: 'apply', what: name };
}

/** The steps by name, in name order. Never change a released one. */
function migrations(backend: SqlBackend): Record<string, Migration> {
  return {
    '0001_files': { up: (db) => createTables(db as Kysely<Tables>, backend) },
    '0002_uploads': { up: (db) => createUploads(db as Kysely<Tables>, backend) },
    '0003_leases': { up: (db) => createLeases(db as Kysely<Tables>, backend) },
    '0004_owner_usage': { up: (db) => indexOwnerUsage(db as Kysely<Tables>) },
    '0005_created_for': { up: (db) => addCreatedFor(db as Kysely<Tables>, backend) },
    '0006_owner_lists': { up: (db) => indexOwnerLists(db as Kysely<Tables>, backend) },
    '0006_purge_order': { up: (db) => indexPurgeOrder(db as Kysely<Tables>) },
    '0007_upload_claims': { up: (db) => addUploadClaims(db as Kysely<Tables>, backend) },
    '0008_legacy': { up: (db) => createLegacy(db as Kysely<Tables>, backend) },
    '0009_imported_revisions': { up: (db) => addImportedRevision(db as Kysely<Tables>, backend) },
    '0010_changes': { up: (db) => createChanges(db as Kysely<Tables>, backend) },
    '0011_subscriptions': { up: (db) => createSubscriptions(db as Kysely<Tables>, backend) },
  };
}

async function createSubscriptions(db: Kysely<Tables>, { types: { text } }: SqlBackend): Promise<void> {
  await sql`
    create table subscriptions (
      key ${text} not null primary key,
      owner ${text} not null,
      revision bigint not null,
      state ${text} not null
    )`.execute(db);
  await sql`create index subscriptions_by_owner on subscriptions (owner, key)`.execute(db);
}

/** The change log. What is there already is not in it. */
async function createChanges(db: Kysely<Tables>, { changes, now }: SqlBackend): Promise<void> {
  await changes.createTable(db);
  await beginLog(db, changes, now);
}

/** Revision of an imported record. */
async function addImportedRevision(db: Kysely<Tables>, { types: { text } }: SqlBackend): Promise<void> {
  await sql`alter table files add column imported_revision ${text}`.execute(db);
}

/** State of files that are older than the service. */
async function createLegacy(db: Kysely<Tables>, { types: { text } }: SqlBackend): Promise<void> {
  await sql`
    create table legacy_uses (
      caller ${text} not null,
      kind ${text} not null,
      day ${text} not null,
      count bigint not null,
      primary key (caller, kind, day)
    )`.execute(db);
  await sql`create table legacy_state (name ${text} not null primary key, value ${text} not null)`.execute(
    db,
  );
}

/** Claims of open sessions. Sessions that are already open claim nothing. */
async function addUploadClaims(db: Kysely<Tables>, { types: { text } }: SqlBackend): Promise<void> {
  for (const name of ['caller', 'owner', 'usage'] as const) {
    await sql`alter table uploads add column ${sql.ref(name)} ${text} not null default ''`.execute(db);
  }
  await sql`alter table uploads add column size_bytes bigint not null default 0`.execute(db);
  await sql`create index uploads_by_owner on uploads (owner, closed, usage, size_bytes)`.execute(db);
  await sql`create index uploads_by_caller on uploads (caller, closed)`.execute(db);
}

async function addCreatedFor(db: Kysely<Tables>, { types: { text } }: SqlBackend): Promise<void> {
  await sql`alter table files add column created_for ${text} not null default ''`.execute(db);
}

/** The sweeper's order, so that it can continue after what it could not purge. */
async function indexPurgeOrder(db: Kysely<Tables>): Promise<void> {
  await sql`drop index files_by_purge_time`.execute(db);
  await sql`create index files_by_purge_time on files (purge_time, id) where purge_time is not null`.execute(
    db,
  );
}

/** For each filter of a list together with an owner, an index in list order. */
async function indexOwnerLists(db: Kysely<Tables>, { types: { text } }: SqlBackend): Promise<void> {
  for (const filter of ['usage', 'media_type', 'media_kind'] as const) {
    await sql`
      create index ${sql.ref(`files_by_owner_and_${filter}`)}
      on files (owner, ${sql.ref(filter)}, create_time desc, id desc)`.execute(db);
  }
  await sql`alter table file_relations add column owner ${text} not null default ''`.execute(db);
  await sql`
    update file_relations set owner = (select files.owner from files where files.id = file_relations.file_id)`.execute(
    db,
  );
  await sql`
    create index file_relations_by_target_and_owner
    on file_relations (name, target, owner, create_time desc, file_id desc)`.execute(db);
}

/** Everything for the sums of an owner, so that no file row is read. */
async function indexOwnerUsage(db: Kysely<Tables>): Promise<void> {
  await sql`create index files_by_owner_usage on files (owner, usage, size_bytes)`.execute(db);
}

async function createLeases(db: Kysely<Tables>, { types: { text } }: SqlBackend): Promise<void> {
  await sql`
    create table leases (
      name ${text} not null primary key,
      holder ${text} not null,
      expire_time bigint not null
    )`.execute(db);
}

async function createUploads(db: Kysely<Tables>, { types: { text } }: SqlBackend): Promise<void> {
  await sql`
    create table uploads (
      id ${text} not null primary key,
      revision bigint not null,
      state ${text} not null,
      expire_time bigint not null,
      request_key ${text} unique,
      closed integer not null
    )`.execute(db);
  await sql`create index uploads_by_time on uploads (closed, expire_time, id)`.execute(db);
}

async function createTables(db: Kysely<Tables>, { types }: SqlBackend): Promise<void> {
  const { text, json, bytes } = types;
  await sql`
    create table files (
      id ${text} not null primary key,
      name ${text} not null,
      content_type ${text} not null,
      media_type ${text} not null,
      media_kind ${text} not null,
      size_bytes bigint not null,
      sha256 ${bytes},
      crc32c bigint,
      owner ${text} not null,
      usage ${text} not null,
      attributes ${json} not null,
      created_by ${text} not null,
      create_time bigint not null,
      update_time bigint not null,
      delete_time bigint,
      purge_time bigint,
      request_key ${text} unique,
      revision bigint not null
    )`.execute(db);
  // For each filter of a list, an index in list order.
  for (const filter of ['', 'owner', 'usage', 'media_type', 'media_kind'] as const) {
    const columns = filter === '' ? sql`` : sql`${sql.ref(filter)}, `;
    await sql`
      create index ${sql.ref(filter === '' ? 'files_by_time' : `files_by_${filter}`)}
      on files (${columns} create_time desc, id desc)`.execute(db);
  }
  await sql`create index files_by_purge_time on files (purge_time) where purge_time is not null`.execute(db);
  await sql`
    create table file_relations (
      file_id ${text} not null references files (id) on delete cascade,
      name ${text} not null,
      position integer not null,
      target ${text} not null,
      create_time bigint not null,
      primary key (file_id, name, position)
    )`.execute(db);
  await sql`
    create index file_relations_by_target
    on file_relations (name, target, create_time desc, file_id desc)`.execute(db);
  await sql`
    create table reservations (
      id ${text} not null primary key,
      file_ids ${json} not null,
      expire_time bigint not null,
      closed integer not null
    )`.execute(db);
  await sql`create index reservations_by_time on reservations (closed, expire_time, id)`.execute(db);
}
