/**
 * What each call, and each statement of the sweeper and of watchers, costs with millions of records: `npm run
 * bench:scale -- --records=1000000 --catalog=PostgreSQL`.
 *
 * Prints CPU time per call of the service and of the catalog, and latencies. The files have no bytes in the store. With
 * `--url` it measures a PostgreSQL that was filled before.
 */
import { parseArgs } from 'node:util';
import { s3Env } from '../test/e2e/support/setups.ts';
import { startSeaweedFS } from '../test/support/seaweedfs.ts';
import { startService } from '../test/support/service.ts';
import { createBucket } from '../test/support/shared-servers.ts';
import { buildService } from './build.ts';
import { LeanClient } from './lean-client.ts';
import { filledPostgresCatalog, fillPocketBaseCatalog, fillPostgresCatalog } from './scale-catalogs.ts';
import { callsOf, catalogWorkOf, sampleOf, type Work } from './scale-work.ts';
import { treeCpuSeconds } from './usage.ts';

const { values } = parseArgs({
  options: {
    records: { type: 'string', default: '1000000' },
    catalog: { type: 'string', default: 'PostgreSQL' },
    url: { type: 'string' },
    calls: { type: 'string', default: '200' },
    in: { type: 'string', default: '4' },
  },
});
const [records, calls, inFlight] = [values.records, values.calls, values.in].map(Number) as [
  number,
  number,
  number,
];
/** Calls before the measurement: the first of a process cost more. */
const WARM_UP_CALLS = 40;

const tell = (text: string) => process.stderr.write(`${new Date().toISOString()} ${text}\n`);
const alive = setInterval(() => undefined, 1_000);
await buildService();
const fill = values.catalog === 'PocketBase' ? fillPocketBaseCatalog : fillPostgresCatalog;
const catalog = values.url
  ? await filledPostgresCatalog(values.url)
  : await fill(records, (step, seconds) => tell(`${step}: ${seconds.toFixed(1)} s`));
const store = await startSeaweedFS();
try {
  const service = await startService(
    {
      ...s3Env(await createBucket(store)),
      ...catalog.env,
      ...{ ASSET_LOG_LEVEL: 'warn', ASSET_HEALTH_INTERVAL: '25', ASSET_SWEEP_INTERVAL: '3600' },
      ...{ ASSET_LIMIT_READS: '0', ASSET_LIMIT_WRITES: '0' },
    },
    { built: true },
  );
  const client = new LeanClient(service.url);
  const opened = catalog.open();
  try {
    const sample = await sampleOf(opened, records);
    print(['call', 'service, µs', `${values.catalog}, µs`, 'p50, ms', 'p99, ms']);
    print(['---', '--:', '--:', '--:', '--:']);
    await measure(callsOf(client, sample), service.pid);
    await measure(await catalogWorkOf(opened), undefined);
    for (const [name, bytes] of Object.entries(await catalog.bytes())) {
      tell(`${name}: ${Math.round(bytes)} bytes per file`);
    }
  } finally {
    client.close();
    await opened.close();
    await service.dispose();
  }
} finally {
  await store.kill();
  await store.dispose();
  await catalog.dispose();
  clearInterval(alive);
}

async function measure(work: Work, servicePid: number | undefined): Promise<void> {
  for (const [name, call] of Object.entries(work)) {
    await inParallel(WARM_UP_CALLS, call);
    const look = () => [
      servicePid === undefined ? 0 : treeCpuSeconds(servicePid),
      treeCpuSeconds(catalog.pid()),
    ];
    const before = look();
    const times = await inParallel(calls, call);
    const cost = look().map((seconds, index) => Math.round(((seconds - before[index]!) / calls) * 1e6));
    const sorted = times.toSorted((a, b) => a - b);
    const at = (share: number) => sorted[Math.floor((sorted.length - 1) * share)]!.toFixed(1);
    print([name, servicePid === undefined ? '' : String(cost[0]), String(cost[1]), at(0.5), at(0.99)]);
  }
}

/** Makes calls, some at a time; returns how long each took, in milliseconds. */
async function inParallel(count: number, call: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  let left = count;
  const lane = async () => {
    while (left-- > 0) {
      const started = performance.now();
      await call();
      times.push(performance.now() - started);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  return times;
}

function print(cells: readonly string[]): void {
  process.stdout.write(`| ${cells.join(' | ')} |\n`);
}
