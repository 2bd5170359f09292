import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createWorkerClient, type WorkerClient } from '@asset-service/worker';
import { setTimeout as sleep } from 'node:timers/promises';
import { clientOf, randomContent, upload } from '../e2e/support/calls.ts';
import { POCKETBASE, s3Env } from '../e2e/support/setups.ts';
import { eventually } from '../support/eventually.ts';
import { startPocketBase } from '../support/pocketbase.ts';
import { startPostgres } from '../support/postgres.ts';
import type { Server } from '../support/process.ts';
import { startService, waitForHealth, type Service } from '../support/service.ts';
import { createBucket, createDatabase } from '../support/shared-servers.ts';
import { FULL } from './support/report.ts';
import { signalTree } from './support/signal-tree.ts';

/** Watchers, how many of them use one connection, and how long the catalog is away, in milliseconds. */
const [WATCHERS, OF_CLIENT, AWAY_MS] = FULL ? [200, 20, 30_000] : [6, 3, 2_000];

/** A short run takes the catalog of today. */
const CATALOGS = FULL ? (['pocketbase', 'postgres'] as const) : (['pocketbase'] as const);

describe.each(CATALOGS)('watchers in an outage of the catalog (%s)', (kind) => {
  let catalog: Server;
  let service: Service;
  const clients: WorkerClient[] = [];
  const stop = new AbortController();
  let watching: Promise<unknown>[] = [];
  /** Ids of events by watcher, and of the files that were acknowledged. */
  const seen: string[][] = Array.from({ length: WATCHERS }, () => []);
  const files: string[] = [];

  beforeAll(async () => {
    let env: Readonly<Record<string, string>>;
    if (kind === 'pocketbase') {
      const pocketbase = await startPocketBase();
      ({ env } = await POCKETBASE.open({ pocketbase }));
      catalog = pocketbase;
    } else {
      const postgres = await startPostgres();
      const url = await createDatabase(postgres.url);
      env = { ...s3Env(await createBucket()), ASSET_CATALOG: 'postgres', ASSET_POSTGRES_URL: url };
      catalog = postgres;
    }
    service = await startService({ ...env, ASSET_HEALTH_INTERVAL: '0.5' });
  }, 120_000);

  afterAll(async () => {
    stop.abort();
    if (catalog?.pid) signalTree(catalog.pid, 'SIGCONT');
    await Promise.all(watching);
    for (const one of clients) one.close();
    await service?.dispose();
    await catalog?.dispose();
  }, 60_000);

  async function uploadSome(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      files.push((await upload(clientOf(service.url), randomContent(500))).id);
    }
  }

  /** Every watcher has the events of all files, each once and in their order. */
  async function allAreSeen(): Promise<void> {
    await eventually(() => {
      for (const ids of seen) expect(ids).toEqual(files);
    }, 120_000);
  }

  it('begin, each with the changes after its call', async () => {
    for (let i = 0; i < WATCHERS / OF_CLIENT; i++)
      clients.push(createWorkerClient({ baseUrl: service.url, timeouts: { callMs: 0 } }));
    const begun = seen.map(() => Promise.withResolvers<void>());
    watching = seen.map((ids, at) =>
      (async () => {
        const client = clients[Math.floor(at / OF_CLIENT)]!;
        const onCheckpoint = () => begun[at]!.resolve();
        for await (const { file } of client.watchFiles({ from: 'now', signal: stop.signal, onCheckpoint }))
          ids.push(file.id);
      })().catch((error: unknown) => error),
    );
    await Promise.all(begun.map(({ promise }) => promise));
    await uploadSome(5);
    await allAreSeen();
  }, 120_000);

  it.each(['SIGKILL', 'SIGSTOP'] as const)(
    'lose no event and get none twice (%s)',
    async (signal) => {
      if (signal === 'SIGKILL') await catalog.kill();
      else signalTree(catalog.pid!, 'SIGSTOP');
      await waitForHealth(service.url, 'NOT_SERVING', 60_000);
      await sleep(AWAY_MS);
      if (signal === 'SIGKILL') await catalog.start();
      else signalTree(catalog.pid!, 'SIGCONT');
      await waitForHealth(service.url, 'SERVING', 60_000);
      await uploadSome(5);
      await allAreSeen();
    },
    300_000,
  );
});
