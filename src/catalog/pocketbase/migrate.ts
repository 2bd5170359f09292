import { setTimeout as sleep } from 'node:timers/promises';
import type { AssetError } from '../../errors/asset-error.ts';
import { setupRefused } from '../../errors/dependencies.ts';
import { stepDone } from '../migration-step.ts';
import { logStart } from './change-entries.ts';
import { Refusal, type PocketBaseClient } from './client.ts';
import { CHANGES } from './own-collections.ts';
import { planMigration, type MigrationPlan, type PocketBaseState } from './plan.ts';
import type { Collection, PocketBaseSetup } from './schema.ts';

const ATTEMPTS = 8;

/** Page size; PocketBase's maximum. */
const PAGE = 1_000;

/** The collection with this name or id, if any. */
export async function findCollection(
  client: PocketBaseClient,
  name: string,
  signal: AbortSignal,
): Promise<Collection | undefined> {
  try {
    return await client.send<Collection>(`/api/collections/${encodeURIComponent(name)}`, { signal });
  } catch (error) {
    if (error instanceof Refusal && error.status === 404) return undefined;
    throw error;
  }
}

/** All collections of a PocketBase. */
export async function listCollections(
  client: PocketBaseClient,
  signal: AbortSignal,
): Promise<readonly Collection[]> {
  const collections: Collection[] = [];
  for (let page = 1; ; page++) {
    const query = { page, perPage: PAGE, sort: 'created', skipTotal: true };
    const { items } = await client.send<{ items: Collection[] }>('/api/collections', { query, signal });
    collections.push(...items);
    if (items.length < PAGE) return collections;
  }
}

/**
 * Adds to a PocketBase what the catalog needs; returns what it did, one line each.
 *
 * Safe to repeat and to run in several replicas at once: PocketBase merges an import with what exists. If two
 * create one collection at the same time it refuses the second, which then checks again what is missing.
 */
export async function migratePocketBase(
  client: PocketBaseClient,
  setup: PocketBaseSetup,
  signal: AbortSignal,
): Promise<readonly string[]> {
  for (let attempt = 1; ; attempt++) {
    try {
      const plan = planMigration(await readState(client, signal), setup);
      await applyPlan(client, plan, signal);
      await beginLog(client, signal);
      return plan.steps.map(stepDone);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (attempt === ATTEMPTS) throw cannotBeChanged(setup.collection, error);
      await sleep(200 * attempt * Math.random(), undefined, { signal });
    }
  }
}

/** The state that a migration depends on. */
export async function readState(client: PocketBaseClient, signal: AbortSignal): Promise<PocketBaseState> {
  const [collections, { batch }] = await Promise.all([
    listCollections(client, signal),
    client.send<Pick<PocketBaseState, 'batch'>>('/api/settings', { signal }),
  ]);
  return { collections, batch };
}

async function applyPlan(
  client: PocketBaseClient,
  { collections, batch }: MigrationPlan,
  signal: AbortSignal,
): Promise<void> {
  if (collections.length > 0) {
    const body = { collections, deleteMissing: false };
    await client.send('/api/collections/import', { method: 'PUT', body, signal });
  }
  if (batch) await client.send('/api/settings', { method: 'PATCH', body: { batch }, signal });
}

/** Marks the start of an empty change log. Without it the first change would be the oldest position, and lost. */
async function beginLog(client: PocketBaseClient, signal: AbortSignal): Promise<void> {
  const query = { filter: '', limit: 1, fields: 'id' };
  if ((await client.list(CHANGES, query, signal)).length > 0) return;
  await client.batch([logStart()], signal);
}

function cannotBeChanged(collection: string, cause: Refusal): AssetError {
  const said = [...cause.fields].map(([field, code]) => `${field}: ${code}`).join(', ');
  return setupRefused(`PocketBase refuses to change its collections (${said}).`, collection, cause);
}
