import { afterEach, describe, expect, it } from '@jest/globals';
import {
  Health,
  HealthCheckResponse_ServingStatus as HealthStatus,
} from '@asset-service/contract/grpc/health/v1/health_pb.js';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { startService, type Service } from '../support/service.ts';
import { clientOf, download, messagesOf, randomContent, send, upload } from './support/calls.ts';
import { eventually } from '../support/eventually.ts';

const MiB = 2 ** 20;

describe('SIGTERM', () => {
  let service: Service;

  afterEach(() => service?.dispose());

  /** An upload that goes on when `go` resolves; calls `onWait` when its first messages are on their way. */
  async function* waiting(content: Uint8Array<ArrayBuffer>, go: Promise<unknown>, onWait: () => void) {
    const messages = [...messagesOf(content)];
    yield* messages.slice(0, 2);
    onWait();
    await go;
    yield* messages.slice(2);
  }

  it('ends an idle service at once, with 0', async () => {
    service = await startService();
    await upload(clientOf(service.url), randomContent(10));
    // What balancers and clients keep open without a call in hand.
    const unused = connect(service.port, '127.0.0.1').on('error', () => undefined);
    const health = createClient(Health, createGrpcTransport({ baseUrl: service.url }));
    const said: HealthStatus[] = [];
    const watch = (async () => {
      for await (const { status } of health.watch({ service: '' })) said.push(status);
    })();
    watch.catch(() => undefined);
    await eventually(() => expect(said).toEqual([HealthStatus.SERVING]));
    const started = Date.now();
    service.signal('SIGTERM');
    await expect(watch).rejects.toThrow('shutting down');
    expect(said).toEqual([HealthStatus.SERVING, HealthStatus.NOT_SERVING]);
    expect(await service.exit()).toBe(0);
    unused.destroy();
    // Calls in hand would get 30 seconds.
    expect(Date.now() - started).toBeLessThan(20_000);
  });

  it('lets a running upload and download finish, and accepts no new calls', async () => {
    service = await startService({ ASSET_DRAIN_TIMEOUT: '50' });
    const client = clientOf(service.url);
    const stored = await upload(client, randomContent(4 * MiB));
    const content = randomContent(3 * MiB);
    const go = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const running = send(client, waiting(content, go.promise, begun.resolve));
    await begun.promise;
    // Answered on the same connection, behind the messages of the upload.
    const stream = client.downloadFile({ fileId: stored.id })[Symbol.asyncIterator]();
    await stream.next();

    service.signal('SIGTERM');
    await eventually(async () => {
      // A connection of its own, as another caller has it.
      const late = upload(clientOf(service.url), randomContent(10), { timeoutMs: 3_000 });
      await expect(late).rejects.toThrow(/ECONNREFUSED|unavailable|shutting down/);
    });
    go.resolve();

    const file = await running;
    expect(file.sizeBytes).toBe(BigInt(content.length));
    let rest = 0;
    for (let next = await stream.next(); !next.done; next = await stream.next()) {
      rest += next.value.data?.content.length ?? 0;
    }
    expect(rest).toBeGreaterThan(0);
    expect(await service.exit()).toBe(0);
    await service.start();
    expect((await download(clientOf(service.url), file.id)).content.equals(content)).toBe(true);
  });

  it('ends a call that exceeds the time limit, and stores nothing of it', async () => {
    service = await startService({ ASSET_DRAIN_TIMEOUT: '1' });
    const owner = 'never';
    const begun = Promise.withResolvers<void>();
    const messages = (async function* () {
      yield* [...messagesOf(randomContent(MiB), { file: { owner } })].slice(0, 2);
      begun.resolve();
      await sleep(50_000, undefined, { ref: false });
    })();
    const client = clientOf(service.url);
    const running = send(client, messages);
    running.catch(() => undefined);
    await begun.promise;
    // Answered on the same connection, behind the messages of the upload.
    await client.listFiles({});
    const started = Date.now();
    service.signal('SIGTERM');
    expect(await service.exit()).toBe(0);
    expect(Date.now() - started).toBeLessThan(25_000);
    await expect(running).rejects.toBeDefined();
    await service.start();
    const { files } = await clientOf(service.url).listFiles({ filter: { owner }, showDeleted: true });
    expect(files).toEqual([]);
  });

  it('is joined by SIGINT', async () => {
    service = await startService();
    service.signal('SIGINT');
    expect(await service.exit()).toBe(0);
  });
});
