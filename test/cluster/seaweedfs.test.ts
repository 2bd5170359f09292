import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { s3Env, type Setup } from '../e2e/support/setups.ts';
import { postgresInspector, type CatalogInspector } from '../fault/support/catalog-inspector.ts';
import { checkEverything } from '../fault/support/check.ts';
import { report } from '../fault/support/report.ts';
import { startReplicas, type Deployment } from '../fault/support/world.ts';
import { startPostgres, type Postgres } from '../support/postgres.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { createBucket } from '../support/shared-servers.ts';
import { readAll, startCallers, TimedLedger, type Callers } from './support/callers.ts';
import { SESSION_TTL_MS, survive } from './support/figures.ts';
import { whyMissing } from './support/missing.ts';
import { startSeaweedCluster, type Part, type SeaweedCluster } from './support/seaweedfs-cluster.ts';

const missing = await whyMissing('weed', 'etcd', 'haproxy');

(missing ? describe.skip : describe)(
  `a SeaweedFS of masters, volume servers, filers and gateways${missing ? `: ${missing}` : ''}`,
  () => {
    const ledger = new TimedLedger();
    let dir: string;
    let cluster: SeaweedCluster;
    let database: Postgres;
    let inspector: CatalogInspector;
    let deployment: Deployment;
    let callers: Callers;

    beforeAll(async () => {
      [dir, cluster, database] = await Promise.all([
        makeDir('cluster'),
        startSeaweedCluster(),
        startPostgres(),
      ]);
      inspector = postgresInspector(database.url);
      const bucket = await createBucket(cluster);
      const session = { ASSET_UPLOAD_SESSION_TTL: String(SESSION_TTL_MS / 1000) };
      const catalog = { ASSET_CATALOG: 'postgres', ASSET_POSTGRES_URL: database.url };
      const env = { ...s3Env(bucket), ...catalog, ...session };
      const setup: Setup = {
        ...{ env, projects: [], bucket, blobs: () => Promise.resolve([]), dispose: () => Promise.resolve() },
      };
      // Longer than a cluster without a leader holds a request back: what it stores late is removed only then.
      const replicas = await startReplicas(env, dir, { count: 2, reservationTtlMs: 45_000 });
      deployment = { setup, inspector, ...replicas, leftoversMs: replicas.leftoversMs + SESSION_TTL_MS };
      callers = startCallers(deployment, ledger, 4);
      await callers.progress();
    }, 600_000);

    afterAll(async () => {
      await callers?.finish();
      await Promise.all(deployment?.replicas.map(({ service }) => service.dispose()) ?? []);
      await inspector?.close();
      await Promise.all([cluster?.dispose(), database?.dispose()]);
      await removeDir(dir);
      report('a SeaweedFS cluster', ledger);
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
          await survive(`SeaweedFS: ${name} killed`, { deployment, ledger, callers }, async () => {
            await Promise.all(parts.map((part) => part.kill()));
            await callers.progress();
            // Everything that was acknowledged before and since, while the part is missing.
            await readAll(deployment, ledger);
          });
        } finally {
          for (const part of parts) await part.start();
        }
        await cluster.whole();
      },
      400_000,
    );

    it('lost nothing, shows no partial or duplicate file, and leaves nothing behind', async () => {
      await callers.finish();
      await checkEverything(deployment, ledger);
      expect(ledger.broken).toEqual([]);
      expect(ledger.counts.acknowledged).toBeGreaterThan(100);
    }, 300_000);
  },
);
