/**
 * A worker thread that sends many uploads slowly, so that the quick uploads that are measured beside them wait for the
 * service and not for the event loop of their own client.
 */
import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { ConnectError, createClient, type Client } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';

/** What the worker is given as its `workerData`. */
export interface SlowUploads {
  /** Address of the service. */
  readonly url: string;
  readonly uploads: number;
  /** Size of each upload in bytes. */
  readonly bytes: number;
  /** Bytes of one message, and the pause after it in milliseconds. */
  readonly dripBytes: number;
  readonly dripMs: number;
}

/** What the worker posts: once when the first upload ends, and once after the last. */
export type SlowUploadsNews =
  { readonly kind: 'first-end' } | { readonly kind: 'done'; readonly failures: readonly string[] };

const CONNECTIONS = 8;
const { url, uploads, bytes, dripBytes, dripMs } = workerData as SlowUploads;

const clients = Array.from({ length: CONNECTIONS }, () =>
  createClient(AssetService, createGrpcTransport({ baseUrl: url })),
);
const content = randomBytes(bytes);
const digest = createHash('sha256').update(content).digest('hex');
const ends = Array.from({ length: uploads }, async (_none, index) => {
  await sleep((index * dripMs) / uploads);
  return drip(clients[index % CONNECTIONS]!, index % 2 === 0);
});
await Promise.race(ends).catch(() => undefined);
post({ kind: 'first-end' });
const outcomes = await Promise.allSettled(ends);
post({
  kind: 'done',
  failures: outcomes.flatMap((end) => {
    if (end.status === 'rejected') return [String(end.reason)];
    return end.value === digest ? [] : ['other bytes'];
  }),
});

/** Uploads the content slowly; the SHA-256 of what was stored. */
async function drip(client: Client<typeof AssetService>, isKnown: boolean): Promise<string> {
  async function* messages() {
    const size = isKnown ? { sizeBytes: BigInt(bytes) } : {};
    const uploadSpec = { file: { name: 'slow.bin' }, ...size };
    yield { firstMessage: { case: 'uploadSpec' as const, value: uploadSpec } };
    for (let at = 0; at < bytes; at += dripBytes) {
      yield { writeOffset: BigInt(at), data: { content: content.subarray(at, at + dripBytes) } };
      await sleep(dripMs);
    }
    yield { writeOffset: BigInt(bytes), finishWrite: true };
  }
  try {
    const { writeStatus } = await client.upload(messages());
    if (writeStatus.case !== 'file') throw new Error('no file');
    return Buffer.from(writeStatus.value.checksums?.sha256 ?? []).toString('hex');
  } catch (error) {
    throw ConnectError.from(error);
  }
}

function post(news: SlowUploadsNews): void {
  parentPort!.postMessage(news);
}
