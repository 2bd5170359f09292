import { unavailable } from '../call.ts';
import type { CatalogFinding } from '../file-catalog.ts';
import { stepPlanned } from '../migration-step.ts';
import type { PocketBaseClient } from './client.ts';
import { doubtfulFields, setupError } from './fillable.ts';
import { findCollection, listCollections, readState } from './migrate.ts';
import { collectionOf, fieldNameMistakes } from './names.ts';
import { openWays } from './open-rules.ts';
import { planMigration, setupMistakes } from './plan.ts';
import type { Collection, PocketBaseSetup } from './schema.ts';
import { typeMistakes } from './wanted.ts';

/** What the operator of a PocketBase has to know of it. Changes nothing. */
export async function inspectPocketBase(
  client: PocketBaseClient,
  setup: PocketBaseSetup,
  signal: AbortSignal,
): Promise<readonly CatalogFinding[]> {
  const collections = await listCollections(client, signal);
  const files = collectionOf(collections, setup.collection);
  const doubts = files ? doubtfulFields(files, setup) : [];
  return [
    ...setupMistakes(collections, setup).map(({ text }) => ({ level: 'mistake', text }) as const),
    ...openWays(collections, files),
    ...doubts.map((text) => ({ level: 'warning', text }) as const),
  ];
}

/** What a migration would do, a line each. Changes nothing. */
export async function previewMigration(
  client: PocketBaseClient,
  setup: PocketBaseSetup,
  signal: AbortSignal,
): Promise<readonly string[]> {
  return planMigration(await readState(client, signal), setup).steps.map(stepPlanned);
}

/**
 * The collection of files; undefined if there is none. Rejects with CATALOG_UNAVAILABLE where it has not all names that the
 * settings give, or a field that cannot hold what it is to hold: to read or write it then would lose or tell too much.
 */
export async function readFilesCollection(
  client: PocketBaseClient,
  setup: PocketBaseSetup,
  signal: AbortSignal,
): Promise<Collection | undefined> {
  const collection = await findCollection(client, setup.collection, signal);
  if (!collection) return undefined;
  const mistakes = [...fieldNameMistakes(collection, setup), ...typeMistakes(collection, setup)];
  if (mistakes.length > 0) throw unavailable(setupError(mistakes));
  return collection;
}
