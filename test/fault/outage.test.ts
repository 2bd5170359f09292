import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasToxiproxy, startToxiproxy, type ToxiproxyServer } from '../support/toxiproxy.ts';
import { waitForHealth } from '../support/service.ts';
import { checkEverything } from './support/check.ts';
import { Ledger } from './support/ledger.ts';
import { startLoad, type Load } from './support/load.ts';
import { FULL, report } from './support/report.ts';
import { startWorld, type CatalogKind, type World } from './support/world.ts';

type ToxiproxyClient = ToxiproxyServer['client'];
type Proxy = Awaited<ReturnType<ToxiproxyClient['createProxy']>>;
type Toxic = Parameters<Proxy['addToxic']>[0];

const toxic = (
  type: Toxic['type'],
  attributes: Record<string, number>,
  stream: Toxic['stream'] = 'downstream',
  toxicity = 1,
): Toxic => ({ name: `${type} ${stream}`, type, attributes, stream, toxicity });

/** Failures between the service and its dependencies. */
const TROUBLES: Readonly<Record<string, readonly Toxic[] | 'down'>> = {
  'latency of 300 ms': [toxic('latency', { latency: 300, jitter: 200 })],
  'resets of half of the connections': [toxic('reset_peer', { timeout: 50 }, 'downstream', 0.5)],
  'cuts in the middle of a request': [toxic('limit_data', { bytes: 150_000 }, 'upstream')],
  'cuts in the middle of an answer': [toxic('limit_data', { bytes: 3_000 })],
  'a stall of requests': [toxic('timeout', { timeout: 0 }, 'upstream')],
  'a stall of answers': [toxic('timeout', { timeout: 0 })],
  'slow closing': [toxic('slow_close', { delay: 2_000 }), toxic('slow_close', { delay: 2_000 }, 'upstream')],
  'little bandwidth': [toxic('bandwidth', { rate: 2_000 }, 'upstream'), toxic('bandwidth', { rate: 2_000 })],
  'an outage': 'down',
};

const CASES = Object.keys(TROUBLES).flatMap((trouble) =>
  (['store', 'catalog'] as const).map((where) => ({ trouble, where })),
);

/** A short run tests every failure once, with one of the catalogs; a full run tests all with both. */
const RUNS: readonly { catalog: CatalogKind; cases: typeof CASES }[] = (
  ['postgres', 'pocketbase'] as const
).map((catalog, half) => ({
  catalog,
  cases: FULL
    ? CASES
    : // Failures of the store are tested with one catalog, failures of the catalog with each.
      CASES.filter(
        ({ trouble }, index) =>
          index % 4 === 3 * half || index % 4 === 2 - half || TROUBLES[trouble] === 'down',
      ),
}));

/** Duration of a failure, in milliseconds. */
const LASTS_MS = FULL ? 15_000 : 2_000;
const DOWN_MS = FULL ? 30_000 : 3_000;

(hasToxiproxy() ? describe : describe.skip).each(RUNS)(
  'troubles of the network, on SeaweedFS and $catalog',
  ({ catalog, cases }) => {
    const ledger = new Ledger();
    let toxiproxy: ToxiproxyServer;
    let proxies: Readonly<Record<'store' | 'catalog', Proxy>>;
    let world: World;
    let load: Load;

    beforeAll(async () => {
      toxiproxy = await startToxiproxy();
      const { client } = toxiproxy;
      world = await startWorld({
        catalog,
        // Requests that a stall holds back arrive after it: until then nothing counts as a leftover.
        reservationTtlMs: Math.max(4_000, 2 * LASTS_MS),
        async between({ store, catalog: catalogAddress }) {
          // Port 0: Toxiproxy chooses a free port and returns it.
          const put = (name: string, upstream: string) =>
            client.createProxy({ name, listen: '127.0.0.1:0', upstream });
          proxies = { store: await put('store', store), catalog: await put('catalog', catalogAddress) };
          return {
            ...{ store: proxies.store.listen, catalog: proxies.catalog.listen },
            dispose: () => toxiproxy.dispose(),
          };
        },
      });
      load = startLoad(world, ledger);
    }, 600_000);

    afterAll(async () => {
      await world.dispose();
      report(`troubles of the network, ${catalog}`, ledger);
    });

    it.each(cases)(
      'survives $trouble of the $where',
      async ({ trouble, where }) => {
        const before = ledger.broken.length;
        const { service } = world.replicas[0]!;
        const kind = TROUBLES[trouble]!;
        const proxy = proxies[where];
        if (kind === 'down') {
          const { listen, upstream } = proxy;
          await proxy.update({ enabled: false, listen, upstream });
          await waitForHealth(service.url, 'NOT_SERVING', 30_000);
          await sleep(DOWN_MS);
        } else {
          for (const one of kind) await proxy.addToxic(one);
          await sleep(LASTS_MS);
        }
        await toxiproxy.client.reset();
        ledger.counts.outages++;
        await waitForHealth(service.url, 'SERVING', 30_000);
        await sleep(FULL ? 1_000 : 300);
        expect(ledger.broken.slice(before)).toEqual([]);
      },
      120_000,
    );

    it('lost nothing, shows no partial or duplicate file, and leaves nothing behind', async () => {
      await load.finish();
      await checkEverything(world, ledger);
      expect(ledger.broken).toEqual([]);
      expect(ledger.counts.acknowledged).toBeGreaterThan(20);
    }, 300_000);
  },
);
