/**
 * What a fresh replica costs, and what callers see of a rolling restart: `npm run bench:rolling`.
 *
 * First the CPU time of the first calls of a new process, without and with a compile cache and a warm-up, in rounds that
 * alternate. Then the times of GetFileUrl through a balancer of connections while two replicas on SeaweedFS and PocketBase
 * are restarted one after the other.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import {
  GetFileUrlRequestSchema,
  GetFileUrlResponseSchema,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { createWorkerClient } from '@asset-service/worker';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { EMBEDDED } from '../test/e2e/support/setups.ts';
import { startWorld } from '../test/fault/support/world.ts';
import { startBalancer } from '../test/support/balancer.ts';
import { eventually } from '../test/support/eventually.ts';
import { makeDir, removeDir } from '../test/support/process.ts';
import { startService } from '../test/support/service.ts';
import { buildService } from './build.ts';
import { contentOf } from './content.ts';
import { LeanClient } from './lean-client.ts';
import { cpuSeconds } from './usage.ts';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '3' }, 'no-load': { type: 'boolean' } },
});
const rounds = Number(values.rounds);

const BLOCKS = [1_000, 1_000, 8_000, 10_000];
const LANES = 16;

await buildService();
const dir = await makeDir('bench-rolling');
const plain = { ASSET_LOG_LEVEL: 'warn', NODE_COMPILE_CACHE: '' };
const cached = { ...plain, ASSET_COMPILE_CACHE: join(dir, 'compiled') };
const variants = {
  plain,
  'compile cache': cached,
  'and a warm-up of 1 s': { ...cached, ASSET_WARM_UP: '1' },
  'and a warm-up of 2 s': { ...cached, ASSET_WARM_UP: '2' },
};

for (const kind of [EMBEDDED]) {
  const costs = new Map(Object.keys(variants).map((name) => [name, [] as number[][]]));
  for (let round = 0; round < rounds; round++)
    for (const [name, env] of Object.entries(variants)) {
      const setup = await kind.open();
      costs.get(name)!.push(await costOf({ ...setup.env, ...env }));
      await setup.dispose();
    }
  console.log(
    `${kind.name}: CPU of the start (ms), then CPU of a GetFileUrl (µs) in the first ${BLOCKS.join(', the next ')} calls:`,
  );
  for (const [name, all] of costs) {
    const means = all[0]!.map((_none, at) => all.reduce((sum, one) => sum + one[at]!, 0) / all.length);
    console.log(`${name}: ${means.map((mean) => mean.toFixed(0)).join(' | ')}`);
  }
}
if (values['no-load']) process.exit(0);
for (const warmUp of ['0', '2'])
  console.log(`warm-up ${warmUp} s: ${await restartUnderLoad({ ...cached, ASSET_WARM_UP: warmUp })}`);
await removeDir(dir);
process.exit(0);

/** CPU time of the start in milliseconds, and of a call in each block in microseconds. */
async function costOf(env: Readonly<Record<string, string>>): Promise<number[]> {
  const service = await startService(env, { built: true });
  const client = new LeanClient(service.url);
  try {
    const pid = service.pid!;
    const found = [cpuSeconds(pid) * 1e3];
    const { id } = await client.upload(contentOf(1_024), { name: 'a', owner: '' });
    const init = { source: { case: 'fileId', value: id } } as const;
    const request = toBinary(GetFileUrlRequestSchema, create(GetFileUrlRequestSchema, init));
    for (const block of BLOCKS) {
      const before = cpuSeconds(pid);
      let left = block;
      const lane = async () => {
        while (left-- > 0)
          await client.unary('asset.v1.AssetService/GetFileUrl', request, GetFileUrlResponseSchema);
      };
      await Promise.all(Array.from({ length: LANES }, lane));
      found.push(((cpuSeconds(pid) - before) / block) * 1e6);
    }
    return found;
  } finally {
    client.close();
    await service.dispose();
  }
}

/** Times of the calls of a rolling restart, as text. */
async function restartUnderLoad(env: Readonly<Record<string, string>>): Promise<string> {
  const world = await startWorld({ catalog: 'pocketbase', env: { ...env, ASSET_DRAIN_DELAY: '0.5' } });
  const services = world.replicas.map(({ service }) => service);
  const balancer = await startBalancer(services.map(({ port }) => port));
  await eventually(() => {
    if (balancer.healthy.size < 2) throw new Error('the replicas are not ready');
  });
  const clients = Array.from({ length: 4 }, () => createWorkerClient({ baseUrl: balancer.url }));
  const times: number[] = [];
  let failed = 0;
  let isOver = false;
  const { id } = await clients[0]!.uploadFile(Buffer.alloc(1_000));
  const lanes = clients
    .flatMap((client) => [client, client])
    .map(async (client) => {
      while (!isOver) {
        const started = performance.now();
        await client.fileUrl(id).catch(() => (failed += 1));
        times.push(performance.now() - started);
      }
    });
  for (const service of services) {
    service.signal('SIGTERM');
    await service.exit();
    await service.start();
    await eventually(() => {
      if (balancer.healthy.size < 2) throw new Error('the replica is not ready');
    });
  }
  isOver = true;
  await Promise.all(lanes);
  clients.forEach((client) => client.close());
  await balancer.close();
  await world.dispose();
  times.sort((one, other) => one - other);
  const at = (share: number) => times[Math.floor((times.length - 1) * share)]!.toFixed(1);
  return `${times.length} calls, ${failed} failed; p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, p99.9 ${at(0.999)} ms, max ${at(1)} ms`;
}
