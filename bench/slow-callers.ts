/**
 * Many slow uploads beside quick ones: `npm run bench:slow-callers`.
 *
 * Prints how long quick uploads take without and with the slow ones beside them, the greatest resident memory of the
 * service, how the slow ones end, and the resident memory after a batch of large uploads on one connection.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { ConnectError, createClient, type Client } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { startSeaweedFS } from '../test/support/seaweedfs.ts';
import { startService } from '../test/support/service.ts';
import { createBucket } from '../test/support/shared-servers.ts';
import { buildService } from './build.ts';
import { peakMemory, resetPeakMemory } from './usage.ts';

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;
const CONNECTIONS = 8;
const QUICK_SIZES = [16 * KIBIBYTE, 8 * MEBIBYTE] as const;
/** What every 250 ms brings of a slow upload. */
const DRIP_BYTES = 16 * KIBIBYTE;
const DRIP_MS = 250;

const { values } = parseArgs({
  options: {
    uploads: { type: 'string', default: '200' },
    mib: { type: 'string', default: '20' },
    rounds: { type: 'string', default: '100' },
  },
});
const uploads = Number(values.uploads);
const slowBytes = Number(values.mib) * MEBIBYTE;
const rounds = Number(values.rounds);

await buildService();
const store = await startSeaweedFS();
const bucket = await createBucket(store);
const service = await startService(
  {
    ASSET_STORE: 's3',
    ASSET_S3_ENDPOINT: bucket.endpoint,
    ASSET_S3_REGION: bucket.region,
    ASSET_S3_BUCKET: bucket.bucket,
    AWS_ACCESS_KEY_ID: bucket.accessKeyId,
    AWS_SECRET_ACCESS_KEY: bucket.secretAccessKey,
    ASSET_LOG_LEVEL: 'warn',
    ASSET_MAX_UPLOADS: String(uploads + 16),
    ASSET_LIMIT_UPLOADS: '0',
  },
  { built: true },
);
const pid = service.pid!;
const connect = () => createClient(AssetService, createGrpcTransport({ baseUrl: service.url }));
try {
  const quick = connect();
  // The first calls of a process are slower than all others.
  for (const size of QUICK_SIZES) await timesOf(quick, size, 10);
  const alone = [];
  for (const size of QUICK_SIZES) alone.push(await timesOf(quick, size, rounds));
  print('resident at rest', residentMemory());

  const connections = Array.from({ length: CONNECTIONS }, connect);
  const content = randomBytes(slowBytes);
  const begun = performance.now();
  const slow = Array.from({ length: uploads }, async (_none, index) => {
    await sleep((index * DRIP_MS) / uploads);
    return drip(connections[index % CONNECTIONS]!, content, index % 2 === 0);
  });
  const ends = Promise.allSettled(slow);
  // From the first end on they are no longer all in hand: their files are put together at nearly the same moment.
  const isOver = { yet: false };
  void Promise.race(slow)
    .catch(() => undefined)
    .then(() => (isOver.yet = true));
  resetPeakMemory(pid);
  // By then they hold as much memory as they are allowed to.
  await sleep(Math.min(20_000, (slowBytes / DRIP_BYTES) * DRIP_MS * 0.4));
  const beside: number[][] = QUICK_SIZES.map(() => []);
  while (!isOver.yet) {
    for (const [index, size] of QUICK_SIZES.entries())
      beside[index]!.push(...(await timesOf(quick, size, 5)));
  }
  print('slow uploads', `${uploads} of ${values.mib} MiB, half of them of unknown size`);
  for (const [index, size] of QUICK_SIZES.entries()) {
    const [without, with_] = [alone[index]!, beside[index]!].map(percentile99) as [number, number];
    const ratio = (with_ / without).toFixed(2);
    print(
      `${size / KIBIBYTE} KiB, p99`,
      `${without.toFixed(1)} ms alone, ${with_.toFixed(1)} ms beside (${beside[index]!.length} calls): ${ratio} × (bar: 1.5)`,
    );
  }
  print('peak resident memory', `${mebibytes(peakMemory(pid))} (bar: 512)`);
  const outcomes = await ends;
  const wrong = outcomes.filter((end) => end.status === 'rejected' || end.value !== digest(content));
  const why = wrong.map((end) => (end.status === 'rejected' ? String(end.reason) : 'other bytes'));
  print(
    'slow ones that ended right',
    `${uploads - wrong.length} of ${uploads}, after ${Math.round((performance.now() - begun) / 1000)} s ${[...new Set(why)].join('; ')}`,
  );

  resetPeakMemory(pid);
  const large = randomBytes(32 * MEBIBYTE);
  const one = connect();
  await Promise.all(Array.from({ length: 8 }, () => send(one, large)));
  const after = residentMemory();
  await sleep(12_000);
  print(
    'eight uploads of 32 MiB',
    `peak ${mebibytes(peakMemory(pid))}, ${after} at the end, ${residentMemory()} 12 s later`,
  );
} finally {
  await service.dispose();
  await store.dispose();
}

/** Uploads so many files one after the other; how long each took, in milliseconds. */
async function timesOf(client: Client<typeof AssetService>, size: number, count: number): Promise<number[]> {
  const content = randomBytes(size);
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const started = performance.now();
    await send(client, content);
    times.push(performance.now() - started);
  }
  return times;
}

/** Uploads some bytes as fast as they are taken. */
async function send(client: Client<typeof AssetService>, content: Buffer): Promise<void> {
  async function* messages() {
    const uploadSpec = { file: { name: 'quick.bin' }, sizeBytes: BigInt(content.length) };
    yield { firstMessage: { case: 'uploadSpec' as const, value: uploadSpec } };
    for (let at = 0; at < content.length; at += 512 * KIBIBYTE) {
      const piece = content.subarray(at, at + 512 * KIBIBYTE);
      const finishWrite = at + piece.length === content.length;
      yield { writeOffset: BigInt(at), data: { content: piece }, finishWrite };
    }
  }
  await client.upload(messages());
}

/** Uploads some bytes slowly; the SHA-256 of what was stored. */
async function drip(client: Client<typeof AssetService>, content: Buffer, isKnown: boolean): Promise<string> {
  async function* messages() {
    const size = isKnown ? { sizeBytes: BigInt(content.length) } : {};
    const uploadSpec = { file: { name: 'slow.bin' }, ...size };
    yield { firstMessage: { case: 'uploadSpec' as const, value: uploadSpec } };
    for (let at = 0; at < content.length; at += DRIP_BYTES) {
      yield { writeOffset: BigInt(at), data: { content: content.subarray(at, at + DRIP_BYTES) } };
      await sleep(DRIP_MS);
    }
    yield { writeOffset: BigInt(content.length), finishWrite: true };
  }
  try {
    const { writeStatus } = await client.upload(messages());
    if (writeStatus.case !== 'file') throw new Error('no file');
    return Buffer.from(writeStatus.value.checksums?.sha256 ?? []).toString('hex');
  } catch (error) {
    throw ConnectError.from(error);
  }
}

function digest(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

function percentile99(times: readonly number[]): number {
  const sorted = times.toSorted((one, other) => one - other);
  return sorted[Math.floor((sorted.length - 1) * 0.99)] ?? NaN;
}

function residentMemory(): string {
  const [, kibibytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return mebibytes(Number(kibibytes) * KIBIBYTE);
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / MEBIBYTE)} MiB`;
}

function print(what: string, value: string): void {
  process.stdout.write(`${what.padEnd(28)}${value}\n`);
}
