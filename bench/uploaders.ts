import { PutObjectCommand } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { createWorkerClient } from '@asset-service/worker';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { Readable } from 'node:stream';
import { freePort } from '../test/support/ports.ts';
import { startService } from '../test/support/service.ts';
import { bytesOf, type Content } from './content.ts';
import { startDelay } from './delay.ts';
import { LeanClient } from './lean-client.ts';
import { openPocketBase } from './pocketbase-peer.ts';
import type { World } from './world.ts';

/** A way to store files. */
export interface Uploader {
  readonly name: string;
  /** Process ids of the server between client and store; empty if there is none. */
  readonly serverPids: readonly number[];
  upload(content: Content): Promise<void>;
  close(): void | Promise<void>;
}

/** A contestant that does not take part, and why. */
export interface Missing {
  readonly name: string;
  readonly missing: string;
  /** True if it is installed but failed. */
  readonly failed?: boolean;
}

/** Starts an uploader. */
export type OpenUploader = (world: World) => Promise<Uploader | Missing>;

const DESCRIPTION = { name: 'bench.bin', owner: 'bench' };
let made = 0;
const newName = () => `bench-${made++}`;

/** The service with the client in `lean-client.ts`. */
export const throughService: OpenUploader = async ({ service }) => {
  const client = new LeanClient(service.url);
  return {
    name: 'Asset Service, lean gRPC client',
    serverPids: [service.pid!],
    upload: async (content) => void (await client.upload(content, DESCRIPTION)),
    close: () => client.close(),
  };
};

/** Number of connections to processes that share a port; the kernel assigns each to one of them. */
const CONNECTIONS = 16;

/** Two service processes on one port, over many connections, as from callers on many machines. */
export const throughTwoProcesses: OpenUploader = async ({ serviceSettings }) => {
  const port = await freePort();
  const settings = { ...serviceSettings, ASSET_REUSE_PORT: 'true' };
  const options = { port, built: true };
  const services = [await startService(settings, options), await startService(settings, options)];
  const clients = Array.from({ length: CONNECTIONS }, () => new LeanClient(services[0]!.url));
  let next = 0;
  return {
    name: 'Asset Service, two processes on one port',
    serverPids: services.map(({ pid }) => pid!),
    upload: async (content) => void (await clients[next++ % CONNECTIONS]!.upload(content, DESCRIPTION)),
    async close() {
      for (const client of clients) client.close();
      for (const service of services) {
        await service.kill();
        await service.dispose();
      }
    },
  };
};

/** The service with the published worker client, which hashes every file itself. */
export const throughWorkerClient: OpenUploader = async ({ service }) => {
  const client = createWorkerClient({ baseUrl: service.url });
  return {
    name: 'Asset Service, worker client',
    serverPids: [service.pid!],
    upload: async (content) => {
      await client.uploadFile(() => Readable.from(bytesOf(content)), {
        ...DESCRIPTION,
        sizeBytes: content.sizeBytes,
      });
    },
    close: () => client.close(),
  };
};

/** Delay of {@link throughDelay} and {@link byConnectHttp1} in each direction, in milliseconds. */
const DELAY_MS = 20;

/** The service behind a delaying proxy, by gRPC over HTTP/2. */
export const throughDelay: OpenUploader = async (world) => {
  const delay = await startDelay(world.service.url, DELAY_MS);
  const uploader = (await throughService({
    ...world,
    service: { ...world.service, url: delay.url },
  })) as Uploader;
  return {
    ...uploader,
    async close() {
      await uploader.close();
      delay.close();
    },
  };
};

/** The same by Connect over HTTP/1.1, which has no flow-control windows of its own. */
export const byConnectHttp1: OpenUploader = async ({ service }) => {
  const delay = await startDelay(service.url, DELAY_MS);
  const client = createClient(
    AssetService,
    createConnectTransport({ baseUrl: delay.url, httpVersion: '1.1', useBinaryFormat: true }),
  );
  return {
    name: 'Asset Service, Connect over HTTP/1.1',
    serverPids: [service.pid!],
    upload: async (content) => void (await client.upload(messagesOf(content))),
    close: () => delay.close(),
  };
};

async function* messagesOf({ pieces, sizeBytes, sha256, crc32c }: Content) {
  let offset = 0;
  for (const [index, { bytes, crc32c: sum }] of pieces.entries()) {
    const spec = { file: DESCRIPTION, sizeBytes: BigInt(sizeBytes) };
    const last = { checksums: { sha256: sha256 as Uint8Array<ArrayBuffer>, crc32c }, finishWrite: true };
    yield {
      ...(index === 0 && { firstMessage: { case: 'uploadSpec' as const, value: spec } }),
      writeOffset: BigInt(offset),
      data: { content: bytes as Uint8Array<ArrayBuffer>, crc32c: sum },
      ...(index === pieces.length - 1 && last),
    };
    offset += bytes.length;
  }
}

/** Large files without a service: the SDK's multipart upload with its defaults. */
export const byLibStorage: OpenUploader = async ({ s3, bucket }) => ({
  name: '@aws-sdk/lib-storage, straight into the store',
  serverPids: [],
  upload: async (content) => {
    const Body = Readable.from(bytesOf(content), { objectMode: false });
    await new Upload({ client: s3, params: { Bucket: bucket.bucket, Key: newName(), Body } }).done();
  },
  close: () => undefined,
});

/** Small files without a service: PutObject, then a record. */
export const byPutAndRecord: OpenUploader = async ({ s3, bucket, pocketbase }) => {
  const records = await openPocketBase(pocketbase, bucket);
  return {
    name: 'PutObject, then a PocketBase record',
    serverPids: [],
    upload: async (content) => {
      const key = newName();
      const [piece] = content.pieces;
      await s3.send(new PutObjectCommand({ Bucket: bucket.bucket, Key: key, Body: piece!.bytes }));
      await records.create({ ...DESCRIPTION, key, size_bytes: content.sizeBytes });
    },
    close: () => undefined,
  };
};

/** PocketBase's own form upload, which it stores in S3. */
export const byPocketBaseForm: OpenUploader = async ({ pocketbase, bucket }) => {
  const records = await openPocketBase(pocketbase, bucket);
  return {
    name: 'PocketBase form upload into S3',
    serverPids: [pocketbase.pid!],
    upload: async (content) => {
      await records.createWithFile(DESCRIPTION, Buffer.concat([...bytesOf(content)]));
    },
    close: () => undefined,
  };
};
