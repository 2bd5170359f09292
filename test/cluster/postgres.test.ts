import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startSeaweedFS, type SeaweedFS } from '../support/seaweedfs.ts';
import { survive } from './support/figures.ts';
import { whyMissing } from './support/missing.ts';
import { startPostgresCluster, type PostgresCluster } from './support/patroni.ts';
import { startUnderLoad, type UnderLoad } from './support/under-load.ts';

const missing = await whyMissing('postgres', 'patroni', 'etcd', 'haproxy');

(missing ? describe.skip : describe)(
  `PostgreSQL under Patroni, behind HAProxy${missing ? `: ${missing}` : ''}`,
  () => {
    let cluster: PostgresCluster;
    let store: SeaweedFS;
    let running: UnderLoad;

    beforeAll(async () => {
      [cluster, store] = await Promise.all([startPostgresCluster(), startSeaweedFS()]);
      running = await startUnderLoad({
        ...{ title: 'a PostgreSQL cluster', store, postgresUrl: cluster.url, callers: 6 },
        reservationTtlMs: 8_000,
      });
      await running.callers.progress();
    }, 600_000);

    afterAll(async () => {
      await running?.dispose();
      await Promise.all([cluster?.dispose(), store?.dispose()]);
    }, 60_000);

    it('goes on with the standby after the leader was killed', async () => {
      const leader = await cluster.nodeOf('leader');
      const { callers } = running;
      const before = callers.retried.length;
      try {
        await survive('PostgreSQL: leader killed', running, async () => {
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
      await survive('PostgreSQL: leader hangs, and comes back', running, async () => {
        await leader.signalAll('SIGSTOP');
        try {
          await running.callers.progress();
        } finally {
          await leader.signalAll('SIGCONT');
        }
      });
      expect((await cluster.nodeOf('leader')).name).not.toBe(leader.name);
      await cluster.whole();
    }, 300_000);

    it('goes on through a switchover', async () => {
      const leader = await cluster.nodeOf('leader');
      await survive('PostgreSQL: switchover', running, async () => {
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
        await survive(`PostgreSQL: ${title} killed`, running, () => node.kill());
        await node.start();
        await cluster.whole();
      },
      300_000,
    );

    it('goes on after a member of etcd was killed', async () => {
      const [member] = cluster.etcd.members;
      try {
        await survive('PostgreSQL: member of etcd killed', running, () => member!.kill());
      } finally {
        await member!.start();
      }
    }, 300_000);

    it('lost nothing, shows no partial or duplicate file, and leaves nothing behind', async () => {
      await cluster.whole();
      await running.checkEverything();
    }, 300_000);
  },
);
