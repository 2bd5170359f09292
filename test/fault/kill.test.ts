import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { POINTS, type Point } from '../../src/system/crash-points.ts';
import { checkEverything } from './support/check.ts';
import { Ledger } from './support/ledger.ts';
import { startLoad, type Load } from './support/load.ts';
import { FULL, report } from './support/report.ts';
import { revive, startWorld, type CatalogKind, type World } from './support/world.ts';

/** How long a point may take to be reached under load, in milliseconds. */
const REACH_MS = 40_000;

/** A short run tests every point once, on one of the catalogs; a full run tests every point several times on both. */
const RUNS: readonly { catalog: CatalogKind; points: readonly Point[] }[] = (
  ['postgres', 'pocketbase'] as const
).map((catalog, half) => ({
  catalog,
  points: FULL ? [...POINTS, ...POINTS] : POINTS.filter((_point, index) => index % 2 === half),
}));

describe.each(RUNS)('a service that is killed, on SeaweedFS and $catalog', ({ catalog, points }) => {
  const ledger = new Ledger();
  let world: World;
  let load: Load;

  beforeAll(async () => {
    world = await startWorld({ catalog });
    load = startLoad(world, ledger);
  });

  afterAll(async () => {
    await world.dispose();
    report(`killed at every point, ${catalog}`, ledger);
  });

  it.each(points)('goes on after %s', async (point) => {
    const before = ledger.broken.length;
    const plan = { point, nth: randomInt(1, FULL ? 4 : 3), signal: 'SIGKILL' as const };
    await Promise.all(world.replicas.map((replica) => replica.arm(plan)));
    await Promise.race([
      ...world.replicas.map(({ service }) => service.exit()),
      sleep(REACH_MS, undefined, { ref: false }),
    ]);
    await Promise.all(world.replicas.map((replica) => replica.arm()));
    expect(await Promise.all(world.replicas.map((replica) => replica.carriedOut()))).toContain(point);
    ledger.counts.pointsHit.add(point);
    // The other replica works alone for a while; it may have been killed at the same point too.
    await sleep(randomInt(300, 600));
    ledger.counts.kills += await revive(world);
    expect(ledger.broken.slice(before)).toEqual([]);
  });

  it.each(FULL ? (['catalog', 'store', 'catalog', 'store'] as const) : (['catalog', 'store'] as const))(
    'goes on after the %s was killed',
    async (what) => {
      const before = ledger.broken.length;
      for (let times = 0; times < (FULL ? 5 : 1); times++) {
        await sleep(randomInt(500, 2_000));
        await world[what].kill();
        await sleep(randomInt(500, 2_000));
        await world[what].start();
        ledger.counts.kills++;
        await sleep(2_000);
      }
      expect(ledger.broken.slice(before)).toEqual([]);
    },
  );

  it('lost nothing, shows no partial or duplicate file, and leaves nothing behind', async () => {
    await load.finish();
    expect(world.replicas.filter(({ service }) => service.pid === undefined)).toEqual([]);
    await checkEverything(world, ledger);
    expect(ledger.broken).toEqual([]);
    expect(ledger.counts.acknowledged).toBeGreaterThan(20);
  }, 180_000);
});
