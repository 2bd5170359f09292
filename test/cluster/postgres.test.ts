import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { s3Env, type Setup } from '../e2e/support/setups.ts';
import { postgresInspector, type CatalogInspector } from '../fault/support/catalog-inspector.ts';
import { checkEverything } from '../fault/support/check.ts';
import { report } from '../fault/support/report.ts';
import { startReplicas, type Deployment } from '../fault/support/world.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startSeaweedFS, type SeaweedFS } from '../support/seaweedfs.ts';
import { createBucket } from '../support/shared-servers.ts';
import { startCallers, TimedLedger, type Callers } from './support/callers.ts';
import { SESSION_TTL_MS, survive } from './support/figures.ts';
import { whyMissing } from './support/missing.ts';
import { startPostgresCluster, type PostgresCluster } from './support/patroni.ts';

const missing = await whyMissing('postgres', 'patroni', 'etcd', 'haproxy');

(missing ? describe.skip : describe)(
  `PostgreSQL under Patroni, behind HAProxy${missing ? `: ${missing}` : ''}`,
  () => {
    const ledger = new TimedLedger();
    let dir: string;
    let cluster: PostgresCluster;
    let store: SeaweedFS;
    let inspector: CatalogInspector;
    let deployment: Deployment;
    let callers: Callers;

    beforeAll(async () => {
      [dir, cluster, store] = await Promise.all([
        makeDir('cluster'),
        startPostgresCluster(),
        startSeaweedFS(),
      ]);
      inspector = postgresInspector(cluster.url);
      const bucket = await createBucket(store);
      const session = { ASSET_UPLOAD_SESSION_TTL: String(SESSION_TTL_MS / 1000) };
      const catalog = { ASSET_CATALOG: 'postgres', ASSET_POSTGRES_URL: cluster.url };
      const env = { ...s3Env(bucket), ...catalog, ...session };
      const setup: Setup = {
        ...{ env, projects: [], bucket, blobs: () => Promise.resolve([]), dispose: () => Promise.resolve() },
      };
      // Longer than a request to the store can take.
      const replicas = await startReplicas(env, dir, { count: 2, reservationTtlMs: 8_000 });
      deployment = { setup, inspector, ...replicas, leftoversMs: replicas.leftoversMs + SESSION_TTL_MS };
      callers = startCallers(deployment, ledger, 6);
      await callers.progress();
    }, 600_000);

    afterAll(async () => {
      await callers?.finish();
      await Promise.all(deployment?.replicas.map(({ service }) => service.dispose()) ?? []);
      await inspector?.close();
      await Promise.all([cluster?.dispose(), store?.dispose()]);
      await removeDir(dir);
      report('a PostgreSQL cluster', ledger);
    }, 60_000);

    const running = () => ({ deployment, ledger, callers });

    it('goes on with the standby after the leader was killed', async () => {
      const leader = await cluster.nodeOf('leader');
      const before = callers.retried.length;
      try {
        await survive('PostgreSQL: leader killed', running(), async () => {
          await leader.kill();
          await callers.progress();
        });
        expect(callers.retried.slice(before)).toContain('UNAVAILABLE CATALOG_UNAVAILABLE');
        expect((await cluster.nodeOf('leader')).name).not.toBe(leader.name);
      } finally {
        await leader.start();
      }
      await cluster.whole();
    }, 300_000);

    it('goes on with the standby after the leader hung, also when it comes back', async () => {
      const leader = await cluster.nodeOf('leader');
      await survive('PostgreSQL: leader hangs, and comes back', running(), async () => {
        await leader.signalAll('SIGSTOP');
        try {
          await callers.progress();
        } finally {
          await leader.signalAll('SIGCONT');
        }
      });
      expect((await cluster.nodeOf('leader')).name).not.toBe(leader.name);
      await cluster.whole();
    }, 300_000);

    it('goes on through a switchover', async () => {
      const leader = await cluster.nodeOf('leader');
      await survive('PostgreSQL: switchover', running(), async () => {
        await cluster.switchover();
        await cluster.whole();
      });
      expect((await cluster.nodeOf('leader')).name).not.toBe(leader.name);
    }, 300_000);

    it.each(['sync_standby', 'replica'] as const)(
      'goes on after a %s was killed',
      async (role) => {
        const node = await cluster.nodeOf(role);
        const title = role === 'replica' ? 'asynchronous standby' : 'synchronous standby';
        await survive(`PostgreSQL: ${title} killed`, running(), () => node.kill());
        await node.start();
        await cluster.whole();
      },
      300_000,
    );

    it('goes on after a member of etcd was killed', async () => {
      const [member] = cluster.etcd.members;
      try {
        await survive('PostgreSQL: member of etcd killed', running(), () => member!.kill());
      } finally {
        await member!.start();
      }
    }, 300_000);

    it('lost nothing, shows no partial or duplicate file, and leaves nothing behind', async () => {
      await cluster.whole();
      await callers.finish();
      await checkEverything(deployment, ledger);
      expect(ledger.broken).toEqual([]);
      expect(ledger.counts.acknowledged).toBeGreaterThan(100);
    }, 300_000);
  },
);
