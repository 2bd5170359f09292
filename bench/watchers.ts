/**
 * What watchers cost: `npm run bench:watchers -- --watchers=200 --uploads=300`.
 *
 * Uploads files one after the other, first without and then beside watchers of everything, over the wire. Prints the CPU
 * time of the service for an upload and for an event sent, the times of the uploads, and the memory of the service, and
 * fails if a watcher misses an event or gets one twice.
 */
import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { createWorkerClient, type WorkerClient } from '@asset-service/worker';
import { eventually } from '../test/support/eventually.ts';
import { startService } from '../test/support/service.ts';
import { buildService } from './build.ts';
import { cpuSeconds, peakMemory } from './usage.ts';

const MEBIBYTE = 2 ** 20;

/** Watches of one connection. */
const OF_CLIENT = 20;

const { values } = parseArgs({
  options: {
    watchers: { type: 'string', default: '200' },
    uploads: { type: 'string', default: '300' },
    size: { type: 'string', default: '16384' },
  },
});
const [watchers, uploads, size] = [values.watchers, values.uploads, values.size].map(Number) as [
  number,
  number,
  number,
];

await buildService();
const service = await startService({ ASSET_LOG_LEVEL: 'warn' }, { built: true });
const pid = service.pid!;
const content = randomBytes(size);
const uploader = createWorkerClient({ baseUrl: service.url });
// Compiled and warm.
await rounds('warm-up', 200);
const alone = await rounds('alone', uploads);
const stop = new AbortController();
const clients = Array.from({ length: Math.ceil(watchers / OF_CLIENT) }, () =>
  createWorkerClient({ baseUrl: service.url, timeouts: { callMs: 0 } }),
);
const seen = Array.from({ length: watchers }, () => [] as string[]);
const watching = seen.map((ids, at) => watch(clients[Math.floor(at / OF_CLIENT)]!, ids));
// All have begun when each has seen the same file.
await eventually(async () => {
  await upload();
  if (seen.some((ids) => ids.length === 0)) throw new Error('a watch has not begun');
}, 60_000);
const before = seen.map((ids) => new Set(ids));
const beside = await rounds(`beside ${watchers} watchers`, uploads);
await eventually(() => {
  const found = seen.map((ids, at) => ids.filter((id) => !before[at]!.has(id)).length);
  const least = Math.min(...found);
  if (least < uploads) throw new Error(`a watcher has ${least} of ${uploads} events`);
}, 120_000);
const twice = seen.filter((ids) => new Set(ids).size !== ids.length).length;
if (twice > 0) throw new Error(`${twice} watchers got an event twice`);
const perEvent = ((cpuSeconds(pid) - beside.cpuBefore - alone.cpu) * 1e6) / (uploads * watchers);
process.stdout.write(
  `every watcher got each of ${uploads} events once; ${perEvent.toFixed(1)} us of CPU for an event sent; ` +
    `memory of the service ${Math.round(alone.memory)} MiB alone, ${Math.round(peakMemory(pid) / MEBIBYTE)} MiB beside watchers\n`,
);
stop.abort();
await Promise.all(watching);
for (const one of [uploader, ...clients]) one.close();
await service.dispose();

async function upload(): Promise<void> {
  await uploader.uploadFile(content, { name: 'a.bin' });
}

/** Uploads files one after the other; prints their times and the CPU time of the service. */
async function rounds(name: string, count: number) {
  const cpuBefore = cpuSeconds(pid);
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const began = performance.now();
    await upload();
    times.push(performance.now() - began);
  }
  const cpu = cpuSeconds(pid) - cpuBefore;
  const [half, high] = [percentile(times, 50), percentile(times, 99)];
  process.stdout.write(
    `${name}: ${count} uploads, p50 ${half.toFixed(1)} ms, p99 ${high.toFixed(1)} ms, ${((cpu * 1e3) / count).toFixed(2)} ms of CPU each\n`,
  );
  return { cpuBefore, cpu, memory: peakMemory(pid) / MEBIBYTE };
}

function percentile(times: readonly number[], percent: number): number {
  return times.toSorted((a, b) => a - b)[Math.ceil((times.length * percent) / 100) - 1] ?? NaN;
}

async function watch(client: WorkerClient, ids: string[]): Promise<void> {
  try {
    for await (const { id } of client.watchFiles({ from: 'now', signal: stop.signal })) ids.push(id);
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  }
}
