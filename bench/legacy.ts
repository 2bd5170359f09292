/**
 * The steps of a move of old files: `npm run bench:legacy -- --files=1000`.
 *
 * Prints the speed, the CPU time per file, and the greatest resident memory of `legacy audit`, `legacy backfill` and
 * `verify`, and how long calls take without a backfill and beside one.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { migrateCatalog } from '../src/app/catalog.ts';
import { loadConfig } from '../src/config/config.ts';
import { clientOf, download } from '../test/e2e/support/calls.ts';
import { FLAGS, ROOT } from '../test/support/install.ts';
import { startLegacySystem, type LegacyFile } from '../test/support/legacy/system.ts';
import { makeDir, removeDir } from '../test/support/process.ts';
import { startSeaweedFS } from '../test/support/seaweedfs.ts';
import { startService } from '../test/support/service.ts';
import { SHARED } from '../test/support/shared-servers.ts';
import { buildService } from './build.ts';
import { cpuSeconds, peakMemory } from './usage.ts';

const MEBIBYTE = 2 ** 20;
/** Pause between two calls, in milliseconds: the callers are to be few, and the machine not full of them. */
const CALL_EVERY_MS = 20;
const ALONE_MS = 15_000;

const { values } = parseArgs({
  options: {
    files: { type: 'string', default: '1000' },
    rate: { type: 'string', default: '0' },
    workers: { type: 'string', default: '8' },
  },
});

await buildService();
const [store, dir] = await Promise.all([startSeaweedFS(), makeDir('bench-legacy')]);
process.env[SHARED.s3Endpoint] = store.endpoint;
process.env[SHARED.accessKeyId] = store.accessKeyId;
process.env[SHARED.secretAccessKey] = store.secretAccessKey;
const seeding = performance.now();
const legacy = await startLegacySystem({ size: Number(values.files) });
process.stdout.write(
  `seeded ${legacy.files.length} files in ${((performance.now() - seeding) / 1_000).toFixed(0)} s\n`,
);
await migrateCatalog(loadConfig(legacy.env));
const service = await startService({ ...legacy.env, ASSET_LOG_LEVEL: 'warn' }, { built: true });
const whole = legacy.files.filter(
  ({ damage, hasBrokenRelation, content }) => !damage && !hasBrokenRelation && content.length < MEBIBYTE,
);
try {
  print('step', 'files/s', 'CPU ms/file: command', 'PocketBase', 'SeaweedFS', 'peak memory');
  await measure('audit', ['legacy', 'audit', '--json']);
  await measure('backfill --dry-run', ['legacy', 'backfill', '--dry-run', '--json']);
  const alone = await callsWhile(sleep(ALONE_MS));
  const rate = values.rate === '0' ? [] : ['--rate', values.rate];
  const moving = measure('backfill', [
    ...['legacy', 'backfill', '--json', '--yes', '--workers', values.workers],
    ...rate,
  ]);
  const beside = await callsWhile(moving);
  await measure('backfill again', ['legacy', 'backfill', '--json', '--yes']);
  await measure('verify', ['verify', '--json']);
  print('call', 'p50 alone', 'p99 alone', 'p50 beside', 'p99 beside', 'p99 ratio');
  for (const name of ['GetFileUrl', 'DownloadFile'] as const) {
    const [before, during] = [alone[name], beside[name]];
    const [a, b, c, d] = [
      percentile(before, 50),
      percentile(before, 99),
      percentile(during, 50),
      percentile(during, 99),
    ];
    print(name, ...[a, b, c, d].map((ms) => `${ms.toFixed(1)} ms`), (d / b).toFixed(2));
  }
  process.stdout.write(`${alone.GetFileUrl.length} and ${beside.GetFileUrl.length} calls of each\n`);
} finally {
  await service.dispose();
  await legacy.dispose();
  await store.dispose();
  await removeDir(dir);
}

/** Runs one command to its end and prints what it took. */
async function measure(name: string, args: readonly string[]): Promise<void> {
  const servers = [legacy.pocketbase.pid!, store.pid!];
  const before = servers.map(cpuSeconds);
  const started = performance.now();
  const child = spawn(process.execPath, [...FLAGS, join(ROOT, 'dist', 'main.js'), ...args], {
    cwd: dir,
    env: { PATH: process.env['PATH'], ...legacy.env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  let [cpu, memory, isOver] = [0, 0, false];
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  void closed.then(() => (isOver = true));
  while (!isOver) {
    try {
      cpu = cpuSeconds(child.pid!);
      // One that has just ended has no memory any more.
      memory = Math.max(memory, peakMemory(child.pid!) || 0);
    } catch {
      // It has ended meanwhile.
    }
    await Promise.race([sleep(50), closed]);
  }
  const seconds = (performance.now() - started) / 1_000;
  const files = legacy.files.length;
  const perFile = (used: number) => `${((used * 1_000) / files).toFixed(2)} ms`;
  const ofServers = servers.map((pid, index) => perFile(cpuSeconds(pid) - before[index]!));
  print(
    name,
    (files / seconds).toFixed(0),
    perFile(cpu),
    ...ofServers,
    `${Math.round(memory / MEBIBYTE)} MiB`,
  );
}

/** Calls one after the other until `work` ends; how long each took, in milliseconds. */
async function callsWhile(work: Promise<void>): Promise<Record<'GetFileUrl' | 'DownloadFile', number[]>> {
  const client = clientOf(service.url);
  const calls: Readonly<Record<'GetFileUrl' | 'DownloadFile', (file: LegacyFile) => Promise<unknown>>> = {
    GetFileUrl: ({ id }) => client.getFileUrl({ source: { case: 'fileId', value: id } }),
    DownloadFile: ({ id }) => download(client, id),
  };
  const times: Record<'GetFileUrl' | 'DownloadFile', number[]> = { GetFileUrl: [], DownloadFile: [] };
  let isOver = false;
  void work.finally(() => (isOver = true));
  for (let index = 0; !isOver; index++) {
    // Files from everywhere: moved ones, and such that are not.
    const file = whole[(index * 7_919) % whole.length]!;
    for (const name of ['GetFileUrl', 'DownloadFile'] as const) {
      const started = performance.now();
      await calls[name](file);
      times[name].push(performance.now() - started);
    }
    await sleep(CALL_EVERY_MS);
  }
  await work;
  return times;
}

function percentile(times: readonly number[], percent: number): number {
  const sorted = times.toSorted((one, other) => one - other);
  return sorted[Math.floor(((sorted.length - 1) * percent) / 100)] ?? NaN;
}

function print(first: string, ...rest: readonly string[]): void {
  process.stdout.write(`${first.padEnd(20)}${rest.map((text) => text.padStart(22)).join('')}\n`);
}
