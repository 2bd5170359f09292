import { quote, type PocketBaseClient } from './client.ts';
import { HELPERS } from './own-collections.ts';
import { catalogUnavailable } from '../../errors/dependencies.ts';

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
