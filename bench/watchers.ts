/**
 * What watchers cost: `npm run bench:watchers -- --watchers=200 --uploads=300`.
 *
 * Uploads files one after the other, first without and then beside watchers of everything, over the wire. The watchers are a
 * process of their own, so that uploads wait for the service alone. Prints the CPU time of the service for an upload and
 * for an event sent, the times of the uploads, and the memory of the service, and fails if a watcher misses an event or
 * gets one twice.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
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
    /** Set for the process of the watchers: the address of the service. */
    watch: { type: 'string' },
  },
});
const [watchers, uploads, size] = [values.watchers, values.uploads, values.size].map(Number) as [
  number,
  number,
  number,
];

/** What the watchers have seen: the fewest events of one, and how many of them got an event twice. */
interface Seen {
  readonly least: number;
  readonly twice: number;
}

if (values.watch === undefined) await measure();
else await watchAll(values.watch);

async function measure(): Promise<void> {
  await buildService();
  const service = await startService({ ASSET_LOG_LEVEL: 'warn' }, { built: true });
  const pid = service.pid!;
  const uploader = createWorkerClient({ baseUrl: service.url });
  // Compiled and warm.
  await rounds(uploader, pid, 'warm-up', 200);
  const alone = await rounds(uploader, pid, 'alone', uploads);
  const child = fork(import.meta.filename, ['--watchers', values.watchers, '--watch', service.url]);
  // All have begun when each has seen a file.
  await eventually(async () => {
    await upload(uploader);
    if ((await seenBy(child)).least === 0) throw new Error('a watch has not begun');
  }, 60_000);
  const { least: before } = await settled(child);
  const beside = await rounds(uploader, pid, `beside ${watchers} watchers`, uploads);
  await eventually(async () => {
    const { least } = await seenBy(child);
    if (least < before + uploads) throw new Error(`a watcher has ${least - before} of ${uploads} events`);
  }, 120_000);
  const { twice } = await seenBy(child);
  if (twice > 0) throw new Error(`${twice} watchers got an event twice`);
  const perEvent = ((cpuSeconds(pid) - beside.cpuBefore - alone.cpu) * 1e6) / (uploads * watchers);
  process.stdout.write(
    `every watcher got each of ${uploads} events once; ${perEvent.toFixed(1)} us of CPU for an event sent; ` +
      `memory of the service ${Math.round(alone.memory)} MiB alone, ${Math.round(peakMemory(pid) / MEBIBYTE)} MiB beside watchers\n`,
  );
  child.kill();
  uploader.close();
  await service.dispose();
}

async function upload(uploader: WorkerClient): Promise<void> {
  await uploader.uploadFile(randomBytes(size), { name: 'a.bin' });
}

/** Uploads files one after the other; prints their times and the CPU time of the service. */
async function rounds(uploader: WorkerClient, pid: number, name: string, count: number) {
  const cpuBefore = cpuSeconds(pid);
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const began = performance.now();
    await upload(uploader);
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

async function seenBy(child: ChildProcess): Promise<Seen> {
  const answer = once(child, 'message') as Promise<[Seen]>;
  child.send('seen');
  return (await answer)[0];
}

/** Waits until every watcher has all that was uploaded so far. */
async function settled(child: ChildProcess): Promise<Seen> {
  for (let before = await seenBy(child); ;) {
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const now = await seenBy(child);
    if (now.least === before.least) return now;
    before = now;
  }
}

/** Watches everything, until the process is killed. */
async function watchAll(url: string): Promise<void> {
  const clients = Array.from({ length: Math.ceil(watchers / OF_CLIENT) }, () =>
    createWorkerClient({ baseUrl: url, timeouts: { callMs: 0 } }),
  );
  const seen = Array.from({ length: watchers }, () => new Map<string, number>());
  process.on('message', () => {
    const least = Math.min(...seen.map(({ size: count }) => count));
    const twice = seen.filter((events) => [...events.values()].some((times) => times > 1)).length;
    process.send!({ least, twice } satisfies Seen);
  });
  await Promise.all(
    seen.map(async (events, at) => {
      const client = clients[Math.floor(at / OF_CLIENT)]!;
      for await (const { id } of client.watchFiles({ from: 'now' }))
        events.set(id, (events.get(id) ?? 0) + 1);
    }),
  );
}
