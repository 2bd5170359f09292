import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { startPostgres, type Postgres } from '../support/postgres.ts';
import { readAll } from './support/callers.ts';
import { survive } from './support/figures.ts';
import { whyMissing } from './support/missing.ts';
import { startSeaweedCluster, type Part, type SeaweedCluster } from './support/seaweedfs-cluster.ts';
import { startUnderLoad, type UnderLoad } from './support/under-load.ts';

const missing = await whyMissing('weed', 'etcd', 'haproxy');

(missing ? describe.skip : describe)(
  `a SeaweedFS of masters, volume servers, filers and gateways${missing ? `: ${missing}` : ''}`,
  () => {
    let cluster: SeaweedCluster;
    let database: Postgres;
    let running: UnderLoad;

    beforeAll(async () => {
      [cluster, database] = await Promise.all([startSeaweedCluster(), startPostgres()]);
      running = await startUnderLoad({
        ...{ title: 'a SeaweedFS cluster', store: cluster, postgresUrl: database.url, callers: 4 },
        // Longer than a cluster without a leader holds a request back: what it stores late is removed only then.
        reservationTtlMs: 45_000,
      });
      await running.callers.progress();
    }, 600_000);

    afterAll(async () => {
      await running?.dispose();
      await Promise.all([cluster?.dispose(), database?.dispose()]);
    }, 60_000);

    const CASES: Readonly<Record<string, () => Promise<readonly Part[]>>> = {
      'leading master': async () => [await cluster.leader()],
      'volume server': async () => [cluster.volumes[0]!],
      'S3 gateway': async () => [cluster.gateways[0]!],
      filer: async () => [cluster.filers[0]!],
      'filer and its S3 gateway': async () => [cluster.filers[1]!, cluster.gateways[1]!],
    };

    it.each(Object.keys(CASES))(
      'reads and writes go on without a %s',
      async (name) => {
        const parts = await CASES[name]!();
        try {
          await survive(`SeaweedFS: ${name} killed`, running, async () => {
            await Promise.all(parts.map((part) => part.kill()));
            await running.callers.progress();
            // Everything that was acknowledged before and since, while the part is missing.
            await readAll(running.deployment, running.ledger);
          });
        } finally {
          for (const part of parts) await part.start();
        }
        await cluster.whole();
      },
      400_000,
    );

    it('lost nothing, shows no partial or duplicate file, and leaves nothing behind', async () => {
      await running.checkEverything();
    }, 300_000);
  },
);
