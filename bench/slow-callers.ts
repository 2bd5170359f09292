/**
 * Many slow uploads beside quick ones: `npm run bench:slow-callers`.
 *
 * Prints how long quick uploads take without and with the slow ones beside them, the greatest resident memory of the
 * service, how the slow ones end, and the resident memory after a batch of large uploads on one connection.
 *
 * Beside the slow ones every second row of quick uploads goes to another process of the service, which has no slow ones and
 * the same store. What quick ones lose there is due to the cores and the store that all share, and not to the service.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { createClient, type Client } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { startSeaweedFS } from '../test/support/seaweedfs.ts';
import { startService } from '../test/support/service.ts';
import { createBucket } from '../test/support/shared-servers.ts';
import { buildService } from './build.ts';
import type { SlowUploads, SlowUploadsNews } from './slow-uploads.ts';
import { peakMemory, resetPeakMemory } from './usage.ts';

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * KIBIBYTE;
/** Sizes of quick uploads, and how many are made in a row: small ones are measured more often. */
const QUICK = [
  { bytes: 16 * KIBIBYTE, inRow: 20 },
  { bytes: 8 * MEBIBYTE, inRow: 4 },
] as const;
/** What every 250 ms brings of a slow upload. */
const DRIP_BYTES = 16 * KIBIBYTE;
const DRIP_MS = 250;

const { values } = parseArgs({
  options: {
    uploads: { type: 'string', default: '200' },
    mib: { type: 'string', default: '20' },
    rounds: { type: 'string', default: '15' },
  },
});
const uploads = Number(values.uploads);
const slowBytes = Number(values.mib) * MEBIBYTE;
const rounds = Number(values.rounds);

// So that the disk is not measured.
if (existsSync('/dev/shm')) process.env['TMPDIR'] = '/dev/shm';

await buildService();
const store = await startSeaweedFS();
const bucket = await createBucket(store);
const settings = {
  ASSET_STORE: 's3',
  ASSET_S3_ENDPOINT: bucket.endpoint,
  ASSET_S3_REGION: bucket.region,
  ASSET_S3_BUCKET: bucket.bucket,
  AWS_ACCESS_KEY_ID: bucket.accessKeyId,
  AWS_SECRET_ACCESS_KEY: bucket.secretAccessKey,
  ASSET_LOG_LEVEL: 'warn',
  ASSET_MAX_UPLOADS: String(uploads + 16),
  ASSET_LIMIT_UPLOADS: '0',
};
const service = await startService(settings, { built: true });
const other = await startService(settings, { built: true });
const pid = service.pid!;
const connect = ({ url }: { readonly url: string }) =>
  createClient(AssetService, createGrpcTransport({ baseUrl: url }));
try {
  const quick = connect(service);
  const elsewhere = connect(other);
  // The first calls of a process are slower than all others.
  for (let i = 0; i < 5; i++) for (const client of [quick, elsewhere]) await row(client);
  const alone = noTimes();
  for (let i = 0; i < rounds; i++) add(alone, await row(quick));
  print('resident at rest', residentMemory());

  const begun = performance.now();
  const given: SlowUploads = {
    url: service.url,
    uploads,
    bytes: slowBytes,
    dripBytes: DRIP_BYTES,
    dripMs: DRIP_MS,
  };
  const worker = new Worker(new URL('slow-uploads.ts', import.meta.url), { workerData: given });
  // From the first end on they are no longer all in hand: their files are put together at nearly the same moment.
  const isOver = { yet: false };
  const ends = new Promise<readonly string[]>((resolve, reject) => {
    worker.once('error', reject);
    worker.on('message', (news: SlowUploadsNews) => {
      isOver.yet = true;
      if (news.kind === 'done') resolve(news.failures);
    });
  });
  resetPeakMemory(pid);
  // By then they hold as much memory as they are allowed to.
  await sleep(Math.min(20_000, (slowBytes / DRIP_BYTES) * DRIP_MS * 0.4));
  const beside = { here: noTimes(), elsewhere: noTimes() };
  while (!isOver.yet) {
    const times = { here: await row(quick), elsewhere: await row(elsewhere) };
    // Calls beside the end of all slow uploads are not beside slow uploads.
    if (isOver.yet) break;
    add(beside.here, times.here);
    add(beside.elsewhere, times.elsewhere);
  }
  print('slow uploads', `${uploads} of ${values.mib} MiB, half of them of unknown size`);
  for (const [index, { bytes }] of QUICK.entries()) {
    for (const percent of [50, 99]) {
      const [without, here, there] = [alone, beside.here, beside.elsewhere].map((times) =>
        quantile(times[index]!, percent / 100),
      ) as [number, number, number];
      print(
        `${bytes / KIBIBYTE} KiB, p${percent}`,
        `${without.toFixed(1)} ms alone, ${here.toFixed(1)} beside (${(here / without).toFixed(2)} ×, bar 1.5), ` +
          `${there.toFixed(1)} in another process (${(there / without).toFixed(2)} ×); ` +
          `${beside.here[index]!.length} calls each`,
      );
    }
  }
  print('peak resident memory', `${mebibytes(peakMemory(pid))} (bar: 512)`);
  const failures = await ends;
  print(
    'slow ones that ended right',
    `${uploads - failures.length} of ${uploads}, after ${Math.round((performance.now() - begun) / 1000)} s ${[...new Set(failures)].join('; ')}`,
  );

  resetPeakMemory(pid);
  const large = randomBytes(32 * MEBIBYTE);
  const one = connect(service);
  await Promise.all(Array.from({ length: 8 }, () => send(one, large)));
  const after = residentMemory();
  await sleep(12_000);
  print(
    'eight uploads of 32 MiB',
    `peak ${mebibytes(peakMemory(pid))}, ${after} at the end, ${residentMemory()} 12 s later`,
  );
} catch (error) {
  // Why a call failed is in the log of the service, not in its answer.
  for (const line of [service, other].flatMap((each) => each.logLines()).slice(-20))
    process.stderr.write(`${JSON.stringify(line)}\n`);
  throw error;
} finally {
  // Nothing else keeps this process alive until both have ended.
  const alive = setInterval(() => undefined, 1_000);
  await service.dispose();
  await other.dispose();
  await store.dispose();
  clearInterval(alive);
}

/** Times in milliseconds, of each size. */
type Times = readonly number[][];

function noTimes(): Times {
  return QUICK.map(() => []);
}

function add(to: Times, times: Times): void {
  for (const [index, some] of times.entries()) to[index]!.push(...some);
}

/** Makes a row of quick uploads of each size, one after the other. */
async function row(client: Client<typeof AssetService>): Promise<Times> {
  const times = noTimes();
  for (const [index, { bytes, inRow }] of QUICK.entries()) {
    const content = randomBytes(bytes);
    for (let i = 0; i < inRow; i++) {
      const started = performance.now();
      await send(client, content);
      times[index]!.push(performance.now() - started);
    }
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

function quantile(times: readonly number[], part: number): number {
  const sorted = times.toSorted((one, other) => one - other);
  return sorted[Math.floor((sorted.length - 1) * part)] ?? NaN;
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
