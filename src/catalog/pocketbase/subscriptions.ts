import type { CatalogCall } from '../file-catalog.ts';
import type { StoredSubscription, Subscriptions } from '../subscriptions.ts';
import { quote, Refusal, type BatchRequest, type PocketBaseClient, type RawRecord } from './client.ts';
import { isBadRequest } from './failures.ts';
import { SUBSCRIPTIONS } from './own-collections.ts';
import { isTaken, unlessGone } from './refusals.ts';
import type { PocketBaseRun } from './sessions.ts';

/**
 * Subscriptions in a PocketBase. Like a lease each is an immutable record, whose id is its revision: a change is a
 * batch that deletes the record and creates another one. If the record is gone, the batch fails as a whole.
 */
export class PocketBaseSubscriptions implements Subscriptions {
  readonly #client: PocketBaseClient;
  readonly #run: PocketBaseRun;

  /** @param run - of the catalog */
  constructor(client: PocketBaseClient, run: PocketBaseRun) {
    this.#client = client;
    this.#run = run;
  }

  get(key: string, call?: CatalogCall): Promise<StoredSubscription | undefined> {
    return this.#run(call, async (signal) => {
      const [raw] = await this.#client.list(
        SUBSCRIPTIONS,
        { filter: `name=${quote(key)}`, limit: 1 },
        signal,
      );
      return raw && toSubscription(raw);
    });
  }

  list(owner: string, limit: number, call?: CatalogCall): Promise<readonly StoredSubscription[]> {
    return this.#run(call, async (signal) => {
      const query = { filter: `owner=${quote(owner)}`, sort: 'name', limit };
      return (await this.#client.list(SUBSCRIPTIONS, query, signal)).map(toSubscription);
    });
  }

  create(key: string, owner: string, state: string, call?: CatalogCall): Promise<boolean> {
    return this.#run(call, (signal) => this.#try([creation(key, owner, state)], signal));
  }

  update(key: string, revision: string, state: string, call?: CatalogCall): Promise<boolean> {
    return this.#run(call, async (signal) => {
      const filter = `id=${quote(revision)}`;
      const [raw] = await this.#client.list(SUBSCRIPTIONS, { filter, limit: 1, fields: 'owner' }, signal);
      if (raw === undefined) return false;
      return this.#try([deletion(revision), creation(key, raw.owner as string, state)], signal);
    });
  }

  remove(_key: string, revision: string, call?: CatalogCall): Promise<boolean> {
    return this.#run(call, (signal) => this.#try([deletion(revision)], signal));
  }

  /** False if another call was faster, or may have been: the next look tells. */
  async #try(requests: readonly BatchRequest[], signal: AbortSignal): Promise<boolean> {
    try {
      return await unlessGone(this.#client.batch([...requests], signal));
    } catch (error) {
      if (isBadRequest(error)) return false;
      if (!(error instanceof Refusal)) throw error;
      // PocketBase also answers 400 without a field when two batches collide.
      if (isTaken(error, 'name') || error.fields.size === 0) return false;
      throw error;
    }
  }
}

function creation(name: string, owner: string, state: string): BatchRequest {
  // As text within JSON, which PocketBase keeps exactly.
  const body = { name, owner, state: JSON.stringify(state) };
  return { method: 'POST', collection: SUBSCRIPTIONS, body, onlyId: true };
}

function deletion(id: string): BatchRequest {
  return { method: 'DELETE', collection: SUBSCRIPTIONS, id };
}

function toSubscription(raw: RawRecord): StoredSubscription {
  return { key: raw.name as string, revision: raw.id, state: raw.state as string };
}
