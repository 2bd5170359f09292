import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { credentials, loadPackageDefinition, type ServiceClientConstructor } from '@grpc/grpc-js';
import type { GrpcObject, ClientReadableStream, ClientWritableStream, ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Balancer, startBalancer } from '../support/balancer.ts';
import { eventually } from '../support/eventually.ts';
import { ROOT } from '../support/install.ts';
import { startService, type Service } from '../support/service.ts';
import { send, spec } from './support/calls.ts';

let service: Service;
let balancer: Balancer;

beforeAll(async () => {
  service = await startService({ ASSET_CONNECTION_MAX_AGE: '0.5' });
  balancer = await startBalancer([service.port]);
  await eventually(() => expect(balancer.healthy.size).toBe(1));
});

afterAll(async () => {
  await balancer?.close();
  await service?.dispose();
});

/** The calls of these tests, by one library or another. */
interface Caller {
  list(): Promise<unknown>;
  /** Uploads a file of two pieces; the second one is sent when `go` resolves. */
  upload(owner: string, go: Promise<unknown>): Promise<unknown>;
  /** Collects the names of an owner's new files; rejects when the watch ends before `stop`. */
  watch(owner: string, names: string[]): { readonly ended: Promise<unknown>; stop(): void };
  close(): void;
}

function connectNode(): Caller {
  const client = createClient(AssetService, createGrpcTransport({ baseUrl: balancer.url }));
  return {
    list: () =>
      client.listFiles({ pageSize: 1 }).catch((error: unknown) => {
        // Node.js did not send it, because the announcement came first, and Connect does not repeat it.
        if (String(error).includes('NGHTTP2_REFUSED_STREAM')) return undefined;
        throw error;
      }),
    upload: (owner, go) =>
      send(
        client,
        (async function* () {
          yield spec({ owner, name: 'late' });
          yield { writeOffset: 0n, data: { content: new Uint8Array(10) } };
          await go;
          yield { writeOffset: 10n, data: { content: new Uint8Array(10) }, finishWrite: true };
        })(),
      ),
    watch(owner, names) {
      const abort = new AbortController();
      const ended = (async () => {
        for await (const { kind } of client.watchFiles({ filter: { owner } }, { signal: abort.signal }))
          if (kind.case === 'event') names.push(kind.value.file!.name);
      })().catch((error: unknown) => error);
      return { ended, stop: () => abort.abort() };
    },
    close: () => undefined,
  };
}

type Answer = (error: ServiceError | null, response?: object) => void;

interface Stub {
  ListFiles(request: object, answer: Answer): void;
  Upload(answer: Answer): ClientWritableStream<object>;
  WatchFiles(request: object): ClientReadableStream<{ event?: { file: { name: string } } }>;
  close(): void;
}

function grpcJs(): Caller {
  const definition = loadSync('asset/v1/asset_service.proto', {
    includeDirs: [join(ROOT, 'proto'), join(ROOT, 'third_party')],
    keepCase: true,
  });
  const { asset } = loadPackageDefinition(definition) as unknown as { asset: { v1: GrpcObject } };
  const Service = asset.v1['AssetService'] as ServiceClientConstructor;
  const stub = new Service(new URL(balancer.url).host, credentials.createInsecure()) as unknown as Stub;
  const promised = (call: (answer: Answer) => unknown) =>
    new Promise<unknown>((resolve, reject) => {
      call((error, response) => (error ? reject(error) : resolve(response)));
    });
  return {
    list: () => promised((answer) => stub.ListFiles({ page_size: 1 }, answer)),
    upload: (owner, go) =>
      promised((answer) => {
        const stream = stub.Upload(answer);
        stream.write({ upload_spec: { file: { owner, name: 'late' } } });
        stream.write({ write_offset: 0, data: { content: Buffer.alloc(10) } });
        void go.then(() => {
          stream.write({ write_offset: 10, data: { content: Buffer.alloc(10) }, finish_write: true });
          stream.end();
        });
      }),
    watch(owner, names) {
      const stream = stub.WatchFiles({ filter: { owner } });
      stream.on(
        'data',
        ({ event }: { event?: { file: { name: string } } }) => event && names.push(event.file.name),
      );
      const ended = new Promise((resolve) => {
        stream.on('error', resolve).on('end', () => resolve('ended'));
      });
      return { ended, stop: () => stream.cancel() };
    },
    close: () => stub.close(),
  };
}

describe.each([
  ['connect-node', connectNode],
  ['grpc-js', grpcJs],
])('with ASSET_CONNECTION_MAX_AGE, %s', (name, open) => {
  it('opens new connections without a failed call, and its long calls go on', async () => {
    const caller = open();
    const go = Promise.withResolvers<void>();
    try {
      await caller.list();
      const names: string[] = [];
      const watch = caller.watch(name, names);
      let isEnded = false;
      void watch.ended.then(() => (isEnded = true));
      const uploaded = caller.upload(name, go.promise);
      const before = balancer.accepted;
      const deadline = Date.now() + 60_000;
      // Every failed call fails the test.
      for (; balancer.accepted < before + 3 && Date.now() < deadline; await sleep(5)) await caller.list();
      expect(balancer.accepted).toBeGreaterThanOrEqual(before + 3);
      expect(isEnded).toBe(false);
      go.resolve();
      await uploaded;
      await eventually(() => expect(names).toEqual(['late']));
      watch.stop();
      await watch.ended;
    } finally {
      caller.close();
    }
  });
});
