import { unavailable } from '../call.ts';
import type { CatalogFinding } from '../file-catalog.ts';
import { stepPlanned } from '../migration-step.ts';
import { quote, type PocketBaseClient } from './client.ts';
import { doubtfulFields, setupError, type Mistake } from './fillable.ts';
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
  const mistakes = setupMistakes(collections, setup);
  const lost = files && mistakes.length === 0 ? await lostDefaults(client, files, setup, signal) : [];
  return [
    ...[...mistakes, ...lost].map(({ text }) => ({ level: 'mistake', text }) as const),
    ...openWays(collections, files),
    ...doubts.map((text) => ({ level: 'warning', text }) as const),
  ];
}

/** Defaults of relations whose targets are not there: PocketBase would refuse every new record for them. */
async function lostDefaults(
  client: PocketBaseClient,
  files: Collection,
  { defaults }: PocketBaseSetup,
  signal: AbortSignal,
): Promise<readonly Mistake[]> {
  const relations = files.fields.filter(({ name, type }) => type === 'relation' && name in defaults);
  const found = await Promise.all(
    relations.flatMap(({ name, collectionId }) => {
      const ids = [defaults[name]].flat() as readonly string[];
      return ids.map(async (id) => {
        const query = { filter: `id=${quote(id)}`, limit: 1, fields: 'id' };
        const [target] = await client.list(String(collectionId), query, signal);
        const text = `ASSET_POCKETBASE_DEFAULTS: "${name}" is ${JSON.stringify(id)}, and there is no such record.`;
        return target ? [] : [{ field: `${files.name}.${name}`, text }];
      });
    }),
  );
  return found.flat();
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
