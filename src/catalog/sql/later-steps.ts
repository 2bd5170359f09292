import { sql, type Kysely } from 'kysely';
import type { CatalogFinding } from '../file-catalog.ts';
import type { MigrationTables } from './backend.ts';
import { STEPS } from './migrations.ts';
import type { Tables } from './tables.ts';

/**
 * Ending of the name of a step that earlier releases cannot serve with. They read the name in the database, so it
 * never changes.
 */
const BREAKING = '_breaking';

/** Kysely's default table of applied steps. */
const DEFAULT_TABLE = 'kysely_migration';

/**
 * Names of the applied steps that this release does not have: a later release has migrated the schema. Empty if
 * there is no schema yet.
 */
export async function laterSteps(
  db: Kysely<Tables>,
  tables: MigrationTables = {},
): Promise<readonly string[]> {
  const { migrationTableName: table = DEFAULT_TABLE, migrationTableSchema: schema } = tables;
  const present = await db.introspection.getTables({ withInternalKyselyTables: true });
  if (!present.some((each) => each.name === table && (schema === undefined || each.schema === schema)))
    return [];
  const from = schema === undefined ? sql.id(table) : sql.id(schema, table);
  const { rows } = await sql<{ name: string }>`select name from ${from} order by name`.execute(db);
  return rows.map(({ name }) => name).filter((name) => !STEPS.includes(name));
}

/** What the operator must know of later steps: a mistake if this release cannot serve with one of them. */
export function findingsOfLater(names: readonly string[]): readonly CatalogFinding[] {
  if (names.length === 0) return [];
  const breaking = names.filter((name) => name.endsWith(BREAKING));
  const which = (steps: readonly string[]) => `A later release has migrated the schema (${steps.join(', ')})`;
  return breaking.length > 0
    ? [
        {
          level: 'mistake',
          text:
            `${which(breaking)}, and this release cannot serve with it. Run that release, or restore the backup ` +
            'that was made before the upgrade.',
        },
      ]
    : [{ level: 'warning', text: `${which(names)}. This release serves with it.` }];
}
