import { Kysely } from 'kysely';
import { Migrator, type Migration } from 'kysely/migration';
import { setupRefused } from '../../errors/dependencies.ts';
import { stepDone, stepPlanned, type MigrationStep } from '../migration-step.ts';
import type { SqlBackend } from './backend.ts';
import { laterSteps } from './later-steps.ts';
import { migrations, STEPS } from './migrations.ts';
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
      await backend.beginSteps?.(trx);
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
  if (dialect === undefined) return STEPS.map((name) => stepPlanned(applying(name)));
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
  const tables = await backend.migrationTables?.(db, options);
  const provider = {
    // Kysely refuses a database with applied steps that it is not given.
    getMigrations: async () => ({
      ...migrations(backend),
      ...Object.fromEntries((await laterSteps(db, tables)).map((name) => [name, APPLIED])),
    }),
  };
  return new Migrator({ db, provider, ...tables });
}

/** A step of a later release: it is applied already. */
const APPLIED: Migration = { up: async () => undefined };

function applying(name: string): MigrationStep {
  return { verb: 'apply', what: name };
}
