/**
 * Many large uploads at once into a slow store: `npm run bench:bounds`.
 *
 * Prints the maximum resident memory of the service, its health response times meanwhile, the error of one upload
 * too many, and what is left in the store after all uploads were cancelled.
 */
import { parseArgs } from 'node:util';
import { setTimeout as sleep } from 'node:timers/promises';
import { ListMultipartUploadsCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { startSeaweedFS } from '../test/support/seaweedfs.ts';
import { healthOf, startService } from '../test/support/service.ts';
import { createBucket } from '../test/support/shared-servers.ts';
import { buildService } from './build.ts';
import { startThrottle } from './throttle.ts';
import { peakMemory } from './usage.ts';

const MEBIBYTE = 2 ** 20;
const CONNECTIONS = 8;

const { values } = parseArgs({
  options: {
    uploads: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '120' },
    'store-mb-per-second': { type: 'string', default: '20' },
  },
});
const uploads = Number(values.uploads);

await buildService();
const store = await startSeaweedFS();
const bucket = await createBucket(store);
const endpoint = new URL(bucket.endpoint);
const throttle = await startThrottle(
  { host: endpoint.hostname, port: Number(endpoint.port) },
  Number(values['store-mb-per-second']) * 1e6,
);
const service = await startService(
  {
    ASSET_STORE: 's3',
    ASSET_S3_ENDPOINT: `http://127.0.0.1:${throttle.port}`,
    ASSET_S3_REGION: bucket.region,
    ASSET_S3_BUCKET: bucket.bucket,
    AWS_ACCESS_KEY_ID: bucket.accessKeyId,
    AWS_SECRET_ACCESS_KEY: bucket.secretAccessKey,
    ASSET_LOG_LEVEL: 'warn',
    ASSET_MAX_UPLOADS: String(uploads),
    ASSET_LIMIT_UPLOADS: '0',
    ASSET_RESERVATION_TTL: '5',
    ASSET_SWEEP_INTERVAL: '2',
  },
  { built: true },
);
try {
  const stop = new AbortController();
  const clients = Array.from({ length: CONNECTIONS }, () =>
    createClient(AssetService, createGrpcTransport({ baseUrl: service.url })),
  );
  const piece = new Uint8Array(512 * 1024);
  let sent = 0;
  async function* gibibyte() {
    const spec = { file: { name: 'large.bin' }, sizeBytes: 2n ** 30n };
    yield { firstMessage: { case: 'uploadSpec' as const, value: spec } };
    for (let offset = 0; offset < 2 ** 30; offset += piece.length) {
      yield { writeOffset: BigInt(offset), data: { content: piece } };
      sent += piece.length;
    }
    yield { writeOffset: 2n ** 30n, finishWrite: true };
  }
  const ends = Array.from({ length: uploads }, (_none, index) =>
    clients[index % CONNECTIONS]!.upload(gibibyte(), { signal: stop.signal }).then(
      () => 'finished',
      (error: unknown) => Code[ConnectError.from(error).code],
    ),
  );
  await sleep(2000);

  const started = performance.now();
  const refused = await createClient(AssetService, createGrpcTransport({ baseUrl: service.url }))
    .upload(gibibyte())
    .then(
      () => 'was let in',
      (error: unknown) => Code[ConnectError.from(error).code],
    );
  const refusedMs = performance.now() - started;

  const answers: number[] = [];
  const until = performance.now() + Number(values.seconds) * 1000;
  while (performance.now() < until) {
    const asked = performance.now();
    await healthOf(service.url);
    answers.push(performance.now() - asked);
    await sleep(100);
  }
  stop.abort();
  const codes = new Map<string, number>();
  for (const end of await Promise.all(ends)) codes.set(String(end), (codes.get(String(end)) ?? 0) + 1);

  answers.sort((a, b) => a - b);
  const quantile = (part: number) =>
    `${Math.round(answers[Math.floor((answers.length - 1) * part)] ?? NaN)} ms`;
  print('uploads at once', `${uploads} of 1 GiB on ${CONNECTIONS} connections, for ${values.seconds} s`);
  print('sent', `${Math.round(sent / MEBIBYTE)} MiB to a store of ${values['store-mb-per-second']} MB/s`);
  print('peak resident memory', `${Math.round(peakMemory(service.pid!) / MEBIBYTE)} MiB (bar: 512)`);
  print('health answers', `p50 ${quantile(0.5)}, p99 ${quantile(0.99)} (bar: 100), worst ${quantile(1)}`);
  print('one more upload', `${refused} after ${Math.round(refusedMs)} ms`);
  print('cancelled', [...codes].map(([code, count]) => `${count} ${code}`).join(', '));
  print('left in the store', await leftovers());
} finally {
  await service.dispose();
  throttle.close();
  await store.dispose();
}

/** Waits up to 90 s until nothing is left. */
async function leftovers(): Promise<string> {
  const { accessKeyId, secretAccessKey, region } = bucket;
  const s3 = new S3Client({
    endpoint: bucket.endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  let blobs = -1;
  let multiparts = -1;
  for (let second = 0; second < 90; second++) {
    blobs = (await s3.send(new ListObjectsV2Command({ Bucket: bucket.bucket }))).KeyCount ?? 0;
    multiparts =
      (await s3.send(new ListMultipartUploadsCommand({ Bucket: bucket.bucket }))).Uploads?.length ?? 0;
    if (blobs + multiparts === 0) return `nothing, ${second} s after the end`;
    await sleep(1000);
  }
  return `${blobs} blobs and ${multiparts} unfinished multiparts`;
}

function print(what: string, value: string): void {
  process.stdout.write(`${what.padEnd(22)}${value}\n`);
}
