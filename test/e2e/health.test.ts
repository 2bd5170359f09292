import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Code, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from '@asset-service/contract/grpc/health/v1/health_pb.js';
import { startPocketBase, type PocketBaseServer } from '../support/pocketbase.ts';
import { startSeaweedFS, type SeaweedFS } from '../support/seaweedfs.ts';
import { healthOf, startService, waitForHealth, type Service } from '../support/service.ts';
import { clientOf, download, randomContent, upload, urlOf, type AssetClient } from './support/calls.ts';
import { eventually } from '../support/eventually.ts';
import { failureOf } from './support/failures.ts';
import { POCKETBASE, type Setup } from './support/setups.ts';

const ASSET_SERVICE = 'asset.v1.AssetService';

describe('health and outages on servers of its own', () => {
  let s3: SeaweedFS;
  let pocketbase: PocketBaseServer;
  let setup: Setup;
  let service: Service;
  let client: AssetClient;
  const health = () => createClient(Health, createGrpcTransport({ baseUrl: service.url }));

  beforeAll(async () => {
    [s3, pocketbase] = await Promise.all([startSeaweedFS(), startPocketBase()]);
    setup = await POCKETBASE.open({ s3, pocketbase });
    service = await startService(setup.env);
    client = clientOf(service.url);
  });

  afterAll(async () => {
    await service?.dispose();
    await Promise.all([s3?.dispose(), pocketbase?.dispose()]);
  });

  it('tells how the process, the service and what it depends on are', async () => {
    for (const name of ['', ASSET_SERVICE, 'store', 'catalog']) {
      expect((await health().check({ service: name })).status).toBe(Status.SERVING);
    }
    const { statuses } = await health().list({});
    expect(Object.keys(statuses).sort()).toEqual(
      ['', ASSET_SERVICE, 'catalog', 'live', 'settings', 'store'].sort(),
    );
    await expect(health().check({ service: 'nonsense' })).rejects.toMatchObject({ code: Code.NotFound });
  });

  it('tells who watches an unknown service that it is unknown', async () => {
    const abort = new AbortController();
    for await (const { status } of health().watch({ service: 'nonsense' }, { signal: abort.signal })) {
      expect(status).toBe(Status.SERVICE_UNKNOWN);
      break;
    }
    abort.abort();
  });

  /** What a watcher of `name` is told, from now on. */
  function watch(name: string): { readonly seen: Status[]; stop(): void } {
    const abort = new AbortController();
    const seen: Status[] = [];
    void (async () => {
      for await (const { status } of health().watch({ service: name }, { signal: abort.signal }))
        seen.push(status);
    })().catch(() => undefined);
    return { seen, stop: () => abort.abort() };
  }

  const DEPENDENCIES = [
    { name: 'store', other: 'catalog', reason: 'STORE_UNAVAILABLE', server: () => s3 },
    { name: 'catalog', other: 'store', reason: 'CATALOG_UNAVAILABLE', server: () => pocketbase },
  ];

  it.each(DEPENDENCIES)(
    'an outage of the $name is told within 30 s, is UNAVAILABLE to callers, and ends by itself',
    async ({ name, other, reason, server }) => {
      const content = randomContent(1000);
      const file = await upload(client, content);
      const watching = watch('');
      await eventually(() => expect(watching.seen).toEqual([Status.SERVING]));
      await server().kill();

      // At once, before health has noticed.
      const failures = await Promise.all([
        failureOf(upload(client, randomContent(1000))),
        failureOf(download(client, file.id)),
        ...(name === 'catalog'
          ? [
              failureOf(client.getFile({ fileId: file.id })),
              failureOf(client.getFile({ fileId: 'missing00000000' })),
              failureOf(client.batchGetFiles({ fileIds: [file.id] })),
              failureOf(client.listFiles({})),
              failureOf(urlOf(client, file.id)),
              failureOf(client.updateMetadata({ file: { id: file.id, name: 'x' } })),
              failureOf(client.deleteFile({ fileId: file.id })),
              failureOf(client.undeleteFile({ fileId: file.id })),
            ]
          : []),
      ]);
      for (const failure of failures) {
        expect(failure).toMatchObject({ code: 'UNAVAILABLE', reason });
        expect(failure.retryMs).toBeGreaterThan(0);
      }
      expect(await waitForHealth(service.url, 'NOT_SERVING', 30_000)).toBeLessThan(30_000);
      expect(await healthOf(service.url, ASSET_SERVICE)).toBe('NOT_SERVING');
      expect(await healthOf(service.url, name)).toBe('NOT_SERVING');
      expect(await healthOf(service.url, other)).toBe('SERVING');

      await server().start();
      await waitForHealth(service.url, 'SERVING', 30_000);
      await eventually(() =>
        expect(watching.seen).toEqual([Status.SERVING, Status.NOT_SERVING, Status.SERVING]),
      );
      watching.stop();
      expect((await download(client, file.id)).content.equals(content)).toBe(true);
      await eventually(() => upload(client, randomContent(1000)));
    },
    240_000,
  );

  it('becomes ready by itself if a dependency was down at the start', async () => {
    for (const { name, server } of DEPENDENCIES) {
      await server().kill();
      const late = await startService(setup.env, { until: 'answering' });
      try {
        expect(await healthOf(late.url)).toBe('NOT_SERVING');
        expect(await healthOf(late.url, name)).toBe('NOT_SERVING');
        expect(await failureOf(upload(clientOf(late.url), randomContent(10)))).toMatchObject({
          code: 'UNAVAILABLE',
        });
        await server().start();
        await waitForHealth(late.url, 'SERVING', 30_000);
        // A store that has just started answers before it has room for a new blob.
        await eventually(() => upload(clientOf(late.url), randomContent(10)));
      } finally {
        await late.dispose();
      }
    }
  }, 120_000);
});
