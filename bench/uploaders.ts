import { PutObjectCommand } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { createWorkerClient } from '@asset-service/worker';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { Readable } from 'node:stream';
import { bytesOf, type Content } from './content.ts';
import { startDelay } from './delay.ts';
import { LeanClient } from './lean-client.ts';
import { openPocketBase } from './pocketbase-peer.ts';
import type { World } from './world.ts';

/** A way to store files. */
export interface Uploader {
  readonly name: string;
  /** Process id of the server that files go through before the store; none where there is no such server. */
  readonly serverPid: number | undefined;
  /** Stores one file. */
  upload(content: Content): Promise<void>;
  close(): void;
}

/** Who does not take part, and why. */
export interface Missing {
  readonly name: string;
  readonly missing: string;
}

/** Makes an uploader ready. */
export type OpenUploader = (world: World) => Promise<Uploader | Missing>;

const DESCRIPTION = { name: 'bench.bin', owner: 'bench' };
let made = 0;
const newName = () => `bench-${made++}`;

/** The service, with the client of `lean-client.ts`. */
export const throughService: OpenUploader = async ({ service }) => {
  const client = new LeanClient(service.url);
  return {
    name: 'Asset Service, lean gRPC client',
    serverPid: service.pid,
    upload: async (content) => void (await client.upload(content, DESCRIPTION)),
    close: () => client.close(),
  };
};

/** The service, with the client that workers install. It hashes every file itself. */
export const throughWorkerClient: OpenUploader = async ({ service }) => {
  const client = createWorkerClient({ baseUrl: service.url });
  return {
    name: 'Asset Service, worker client',
    serverPid: service.pid,
    upload: async (content) => {
      await client.uploadFile(() => Readable.from(bytesOf(content)), {
        ...DESCRIPTION,
        sizeBytes: content.sizeBytes,
      });
    },
    close: () => client.close(),
  };
};

/** How far away {@link throughDelay} and {@link byConnectHttp1} are, in milliseconds each way. */
const DELAY_MS = 20;

/** The service at the other end of a long line, by gRPC over HTTP/2. */
export const throughDelay: OpenUploader = async (world) => {
  const delay = await startDelay(world.service.url, DELAY_MS);
  const uploader = (await throughService({
    ...world,
    service: { ...world.service, url: delay.url },
  })) as Uploader;
  return {
    ...uploader,
    close() {
      uploader.close();
      delay.close();
    },
  };
};

/** The same by Connect over HTTP/1.1, which has no windows of its own. */
export const byConnectHttp1: OpenUploader = async ({ service }) => {
  const delay = await startDelay(service.url, DELAY_MS);
  const client = createClient(
    AssetService,
    createConnectTransport({ baseUrl: delay.url, httpVersion: '1.1', useBinaryFormat: true }),
  );
  return {
    name: 'Asset Service, Connect over HTTP/1.1',
    serverPid: service.pid,
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

/** What is done without a service for large files: multipart by the SDK, with its defaults. */
export const byLibStorage: OpenUploader = async ({ s3, bucket }) => ({
  name: '@aws-sdk/lib-storage, straight into the store',
  serverPid: undefined,
  upload: async (content) => {
    const Body = Readable.from(bytesOf(content), { objectMode: false });
    await new Upload({ client: s3, params: { Bucket: bucket.bucket, Key: newName(), Body } }).done();
  },
  close: () => undefined,
});

/** What is done without a service for small files: a PutObject, then a record. */
export const byPutAndRecord: OpenUploader = async ({ s3, bucket, pocketbase }) => {
  const records = await openPocketBase(pocketbase, bucket);
  return {
    name: 'PutObject, then a PocketBase record',
    serverPid: undefined,
    upload: async (content) => {
      const key = newName();
      const [piece] = content.pieces;
      await s3.send(new PutObjectCommand({ Bucket: bucket.bucket, Key: key, Body: piece!.bytes }));
      await records.create({ ...DESCRIPTION, key, size_bytes: content.sizeBytes });
    },
    close: () => undefined,
  };
};

/** PocketBase's own upload: a form, which it stores in S3. */
export const byPocketBaseForm: OpenUploader = async ({ pocketbase, bucket }) => {
  const records = await openPocketBase(pocketbase, bucket);
  return {
    name: 'PocketBase form upload into S3',
    serverPid: pocketbase.pid,
    upload: async (content) => {
      await records.createWithFile(DESCRIPTION, Buffer.concat([...bytesOf(content)]));
    },
    close: () => undefined,
  };
};

/** tusd with its S3 store. The bytes come with the request that creates the upload, the fewest that tus allows. */
export const byTusd: OpenUploader = async ({ tusd }) => {
  const name = 'tusd, S3 store';
  if ('missing' in tusd) return { name, ...tusd };
  const agent = new Agent({ keepAlive: true });
  return {
    name,
    serverPid: tusd.pid,
    upload: async (content) => {
      const headers = {
        'tus-resumable': '1.0.0',
        'upload-length': content.sizeBytes,
        'content-type': 'application/offset+octet-stream',
        'content-length': content.sizeBytes,
      };
      const sent = request(tusd.url, { method: 'POST', headers, agent });
      const answered = once(sent, 'response');
      answered.catch(() => undefined);
      Readable.from(bytesOf(content), { objectMode: false }).pipe(sent);
      const [response] = await answered;
      response.resume();
      await once(response, 'end');
      const stored = Number(response.headers['upload-offset']);
      if (response.statusCode !== 201 || stored !== content.sizeBytes) {
        throw new Error(`tusd answered ${response.statusCode} and stored ${stored} bytes`);
      }
    },
    close: () => agent.destroy(),
  };
};
