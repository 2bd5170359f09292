import type { CatalogFinding, PolicyNames } from '../file-catalog.ts';
import { stepPlanned } from '../migration-step.ts';
import { quote, type PocketBaseClient } from './client.ts';
import { doubtfulFields, setupError, type Mistake } from './fillable.ts';
import { findCollection, listCollections, readState } from './migrate.ts';
import { collectionOf, fieldNameMistakes, suggest } from './names.ts';
import { openWays } from './open-rules.ts';
import { HELPERS } from './own-collections.ts';
import { planMigration, setupMistakes } from './plan.ts';
import { readSchema, type Collection, type PocketBaseSetup } from './schema.ts';
import { typeMistakes } from './wanted.ts';
import { catalogUnavailable } from '../../errors/dependencies.ts';

/** Findings about a PocketBase for its operator. Changes nothing. */
export async function inspectPocketBase(
  client: PocketBaseClient,
  setup: PocketBaseSetup,
  names: PolicyNames,
  signal: AbortSignal,
): Promise<readonly CatalogFinding[]> {
  const collections = await listCollections(client, signal);
  const files = collectionOf(collections, setup.collection);
  const doubts = files ? doubtfulFields(files, setup) : [];
  const mistakes = setupMistakes(collections, setup);
  const lost = files && mistakes.length === 0 ? await lostDefaults(client, files, setup, signal) : [];
  return [
    ...[...mistakes, ...lost].map(({ text }) => ({ level: 'mistake', text }) as const),
    ...(files ? unknownPolicyNames(files, setup, names) : []).map(
      (text) => ({ level: 'error', text }) as const,
    ),
    ...openWays(collections, files),
    ...doubts.map((text) => ({ level: 'warning', text }) as const),
  ];
}

/**
 * Names in usage policies that the collection does not have: such a rule applies to nobody, such a usage to no
 * file.
 */
function unknownPolicyNames(
  files: Collection,
  setup: PocketBaseSetup,
  names: PolicyNames,
): readonly string[] {
  const { relations, mapped } = readSchema(files, setup);
  const there = [...relations.values()];
  const lost = names.relations
    .filter((name) => !relations.has(name))
    .map(
      (name) =>
        `a rule reads the relation "${name}", which "${files.name}" does not have.${suggest(name, there)}`,
    );
  const field = mapped.get('usage');
  const values = field?.['values'];
  const refused = Array.isArray(values)
    ? names.usages
        .filter((usage) => !values.includes(usage))
        .map(
          (usage) =>
            `the usage "${usage}" is no choice of ${files.name}.${field!.name}, so PocketBase refuses its files.`,
        )
    : [];
  return [...lost, ...refused].map((text) => `ASSET_POLICY_FILE: ${text}`);
}

/** Defaults of relations whose targets do not exist: PocketBase would refuse every new record. */
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

/** What a migration would do, one line each. Changes nothing. */
export async function previewMigration(
  client: PocketBaseClient,
  setup: PocketBaseSetup,
  signal: AbortSignal,
): Promise<readonly string[]> {
  return planMigration(await readState(client, signal), setup).steps.map(stepPlanned);
}

/**
 * The collection of files; undefined if it does not exist. Rejects with CATALOG_UNAVAILABLE if a name in the
 * settings does not exist, or a field cannot store its value: reading or writing would lose data or show too much.
 */
export async function readFilesCollection(
  client: PocketBaseClient,
  setup: PocketBaseSetup,
  signal: AbortSignal,
): Promise<Collection | undefined> {
  const collection = await findCollection(client, setup.collection, signal);
  if (!collection) return undefined;
  const mistakes = [...fieldNameMistakes(collection, setup), ...typeMistakes(collection, setup)];
  if (mistakes.length > 0) throw catalogUnavailable(setupError(mistakes));
  return collection;
}

/**
 * Rejects with CATALOG_UNAVAILABLE, whose cause names it, if one of the service's collections or fields is missing,
 * or batches were disabled.
 */
export async function checkHelpers(client: PocketBaseClient, signal: AbortSignal): Promise<void> {
  const filter = HELPERS.map(({ name }) => `name=${quote(name)}`).join('||');
  const query = { filter, fields: 'name,fields.name', perPage: HELPERS.length, skipTotal: true };
  const { items } = await client.send<{ items: readonly Named[] }>('/api/collections', { query, signal });
  for (const { name, fields } of HELPERS) {
    const found = items.find((one) => one.name === name);
    if (!found) throw catalogUnavailable(new Error(`PocketBase has no collection "${name}"`));
    const present = new Set(found.fields.map((field) => field.name));
    const missing = fields.find((field) => !present.has(field.name));
    if (missing) {
      throw catalogUnavailable(
        new Error(`the collection "${name}" of PocketBase has no field "${missing.name}"`),
      );
    }
  }
  const settings = await client.send<{ readonly batch: { readonly enabled: boolean } }>('/api/settings', {
    query: { fields: 'batch' },
    signal,
  });
  if (!settings.batch.enabled) {
    throw catalogUnavailable(new Error('batch requests are switched off in the settings of PocketBase'));
  }
}

interface Named {
  readonly name: string;
  readonly fields: readonly { readonly name: string }[];
}
