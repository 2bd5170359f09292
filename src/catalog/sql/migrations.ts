import { sql, type Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { SqlBackend } from './backend.ts';
import { beginLog } from './changes.ts';
import type { Tables } from './tables.ts';

/**
 * The steps by name, in name order. Never change a released one. The release before must be able to serve with the
 * schema after a step; the name of a step that it cannot serve with ends with `_breaking`.
 */
const ALL: Readonly<Record<string, (db: Kysely<Tables>, backend: SqlBackend) => Promise<void>>> = {
  '0001_files': createTables,
  '0002_uploads': createUploads,
  '0003_leases': createLeases,
  '0004_owner_usage': indexOwnerUsage,
  '0005_created_for': addCreatedFor,
  '0006_owner_lists': indexOwnerLists,
  '0006_purge_order': indexPurgeOrder,
  '0007_upload_claims': addUploadClaims,
  '0008_legacy': createLegacy,
  '0009_imported_revisions': addImportedRevision,
  '0010_changes': createChanges,
  '0011_subscriptions': createSubscriptions,
};

/** Names of the steps that this release has. */
export const STEPS: readonly string[] = Object.keys(ALL);

/** The steps for Kysely. */
export function migrations(backend: SqlBackend): Record<string, Migration> {
  const steps = Object.entries(ALL);
  return Object.fromEntries(
    steps.map(([name, up]) => [name, { up: (db: Kysely<unknown>) => up(db, backend) }]),
  );
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
      create index if not exists ${sql.ref(`files_by_owner_and_${filter}`)}
      on files (owner, ${sql.ref(filter)}, create_time desc, id desc)`.execute(db);
  }
  await sql`alter table file_relations add column owner ${text} not null default ''`.execute(db);
  await sql`
    update file_relations set owner = (select files.owner from files where files.id = file_relations.file_id)`.execute(
    db,
  );
  await sql`
    create index if not exists file_relations_by_target_and_owner
    on file_relations (name, target, owner, create_time desc, file_id desc)`.execute(db);
}

/** Everything for the sums of an owner, so that no file row is read. */
async function indexOwnerUsage(db: Kysely<Tables>): Promise<void> {
  await sql`create index if not exists files_by_owner_usage on files (owner, usage, size_bytes)`.execute(db);
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
