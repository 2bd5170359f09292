/**
 * The steps of a move of old files: `npm run bench:legacy -- --files=100000`.
 *
 * Runs `legacy audit`, `legacy backfill` and `verify` on 1,000 files and on `--files`. Prints the speed, the CPU time
 * per file, the greatest resident memory of each command, and how the cost per file grows; and, at 1,000 files, how
 * long calls take without a backfill and beside one. With `--orphans=1000000` it runs the audit alone, on a bucket with
 * so many objects that no record names.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { migrateCatalog } from '../src/app/catalog.ts';
import { loadConfig } from '../src/config/config.ts';
import { FLAGS, ROOT } from '../test/support/install.ts';
import { startLegacySystem, type LegacySystem } from '../test/support/legacy/system.ts';
import { makeDir, removeDir } from '../test/support/process.ts';
import { startSeaweedFS } from '../test/support/seaweedfs.ts';
import { createBucket, SHARED } from '../test/support/shared-servers.ts';
import { startVersityGW } from '../test/support/versitygw.ts';
import { buildService } from './build.ts';
import { startCalls } from './legacy-calls.ts';
import { ORPHAN_LAYOUT, seedFiles, seedOrphans } from './legacy-seed.ts';
import { cpuSeconds, peakMemory } from './usage.ts';

const MEBIBYTE = 2 ** 20;
const FEW = 1_000;

const { values } = parseArgs({
  options: {
    files: { type: 'string', default: String(FEW) },
    orphans: { type: 'string', default: '0' },
    // The program in dist/ is up to date.
    built: { type: 'boolean', default: false },
    rate: { type: 'string', default: '0' },
    workers: { type: 'string' },
    // A step that takes longer is interrupted, and its cost is that of the files it has processed.
    seconds: { type: 'string', default: '3600' },
    steps: { type: 'string', default: 'audit,dry-run,backfill,again,verify' },
  },
});
const [most, orphans] = [Number(values.files), Number(values.orphans)];

/** CPU time per file, in milliseconds. */
interface Cost {
  readonly command: number;
  readonly servers: number;
}

if (!values.built) await buildService();
const [store, dir] = await Promise.all([startSeaweedFS(), makeDir('bench-legacy')]);
process.env[SHARED.s3Endpoint] = store.endpoint;
process.env[SHARED.accessKeyId] = store.accessKeyId;
process.env[SHARED.secretAccessKey] = store.secretAccessKey;
try {
  if (orphans > 0) await auditOrphans();
  else await compareSizes();
} finally {
  await store.dispose();
  await removeDir(dir);
}

/** Measures the audit of a VersityGW with many objects that no record names. Their report has a line for each. */
async function auditOrphans(): Promise<void> {
  const [legacy, old] = await Promise.all([seeded(FEW), startVersityGW()]);
  try {
    const bucket = (await createBucket(old)).bucket;
    await timed(`${orphans} objects`, async () => seedOrphans(join(old.root, bucket), orphans));
    const env = {
      ...{ ...legacy.env, ASSET_LEGACY_S3_ENDPOINT: old.endpoint, ASSET_LEGACY_S3_BUCKET: bucket },
      ASSET_LEGACY_LAYOUTS: `{id}/{secure_name},${ORPHAN_LAYOUT}`,
    };
    const args = ['legacy', 'audit', '--json', '--report', join(dir, 'audit.jsonl')];
    head();
    await measure({ ...legacy, env }, orphans, 'audit', args);
  } finally {
    await Promise.all([legacy.dispose(), old.dispose()]);
  }
}

async function compareSizes(): Promise<void> {
  const few = await runSteps(FEW, true);
  if (most <= FEW) return;
  const many = await runSteps(most, false);
  print('cost per file', `at ${FEW}`, `at ${most}`, 'ratio', 'with the servers');
  for (const [step, one] of few) {
    const other = many.get(step)!;
    const [a, b] = [one.command + one.servers, other.command + other.servers];
    print(
      step,
      ms(one.command),
      ms(other.command),
      (other.command / one.command).toFixed(2),
      (b / a).toFixed(2),
    );
  }
}

/** Runs every step on a system with `size` files. Resolves with what each step costs beyond the start of a command. */
async function runSteps(size: number, withCalls: boolean): Promise<ReadonlyMap<string, Cost>> {
  const legacy = await seeded(size);
  const costs = new Map<string, Cost>();
  const step = async (name: string, args: readonly string[]) => {
    if (!values.steps.split(',').includes(name)) return;
    costs.set(name, await measure(legacy, size, name, [...args, '--json']));
  };
  const workers = values.workers === undefined ? [] : ['--workers', values.workers];
  const move = ['legacy', 'backfill', '--yes', ...workers];
  const rate = values.rate === '0' ? [] : ['--rate', values.rate];
  try {
    head();
    await step('audit', ['legacy', 'audit']);
    await step('dry-run', ['legacy', 'backfill', '--dry-run']);
    const calls = withCalls ? await startCalls(legacy) : undefined;
    await step('backfill', [...move, ...rate]);
    await calls?.end();
    await step('again', move);
    await step('verify', ['verify']);
    return costs;
  } finally {
    await legacy.dispose();
  }
}

async function seeded(size: number): Promise<LegacySystem> {
  const legacy = await startLegacySystem({ size: 0 });
  const files = await timed(`${size} files`, () => seedFiles(legacy, size));
  await migrateCatalog(loadConfig(legacy.env));
  return { ...legacy, files };
}

async function timed<T>(what: string, work: () => Promise<T>): Promise<T> {
  const started = performance.now();
  const done = await work();
  process.stdout.write(`seeded ${what} in ${((performance.now() - started) / 1_000).toFixed(0)} s\n`);
  return done;
}

/** Runs one command and prints what it took. */
async function measure(
  legacy: LegacySystem,
  files: number,
  name: string,
  args: readonly string[],
): Promise<Cost> {
  const start = await run(legacy, ['legacy', 'status']);
  const { seconds, cpu, memory, ofServers, wasInterrupted } = await run(legacy, args, Number(values.seconds));
  // A verification reads what an interrupted backfill has moved.
  const isPart = wasInterrupted || name === 'verify';
  const processed = isPart ? await processedBy(name, legacy) : files;
  const command = ((cpu - start.cpu) * 1_000) / processed;
  const servers = ofServers.map((used) => (used * 1_000) / processed);
  print(
    ...([name, wasInterrupted ? `${processed} of ${files}` : String(files)] as const),
    ...[(processed / seconds).toFixed(0), `${cpu.toFixed(1)} s`, ms(command), ...servers.map(ms)],
    `${Math.round(memory / MEBIBYTE)} MiB`,
  );
  return { command, servers: servers.reduce((sum, used) => sum + used, 0) };
}

/** Number of files that a step has processed, by its state. */
async function processedBy(step: string, legacy: LegacySystem): Promise<number> {
  const { output } = await run(legacy, ['legacy', 'status', '--json']);
  type Counts = Readonly<Record<string, number>>;
  const status = JSON.parse(output) as {
    readonly audit: { readonly records: Counts; readonly objects: Counts } | null;
    readonly backfill: Counts | null;
    readonly verify: { readonly checked: number } | null;
  };
  const sum = (counts: Counts = {}) => Object.values(counts).reduce((all, count) => all + count, 0);
  // An audit looks at a file twice: by its record, and by its object.
  if (step === 'audit') return (sum(status.audit?.records) + sum(status.audit?.objects)) / 2;
  if (step === 'verify') return status.verify?.checked ?? 0;
  return ['moved', 'already', 'missing', 'mismatch', 'unreadable', 'refused', 'acknowledged'].reduce(
    (all, name) => all + (status.backfill?.[name] ?? 0),
    0,
  );
}

/** Runs one command to its end: its time, CPU time and memory, and the CPU time of PocketBase and SeaweedFS. */
async function run(legacy: LegacySystem, args: readonly string[], maxSeconds = Infinity) {
  const servers = [legacy.pocketbase.pid!, store.pid!];
  const before = servers.map(cpuSeconds);
  const started = performance.now();
  const child = spawn(process.execPath, [...FLAGS, join(ROOT, 'dist', 'main.js'), ...args], {
    cwd: dir,
    env: { PATH: process.env['PATH'], ...legacy.env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let [cpu, memory, isOver, wasInterrupted, output] = [0, 0, false, false, ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
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
    if (!wasInterrupted && performance.now() - started > maxSeconds * 1_000)
      wasInterrupted = child.kill('SIGINT');
    await Promise.race([sleep(20), closed]);
  }
  const seconds = (performance.now() - started) / 1_000;
  const ofServers = servers.map((pid, at) => cpuSeconds(pid) - before[at]!);
  return { seconds, cpu, memory, ofServers, wasInterrupted, output };
}

function head(): void {
  print('step', 'files', 'files/s', 'CPU: command', 'per file', 'PocketBase', 'SeaweedFS', 'peak memory');
}

function ms(value: number): string {
  return `${value.toFixed(2)} ms`;
}

function print(first: string, ...rest: readonly string[]): void {
  process.stdout.write(`${first.padEnd(20)}${rest.map((text) => text.padStart(18)).join('')}\n`);
}
