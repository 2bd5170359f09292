/**
 * What metrics cost: `npm run bench:metrics`.
 *
 * Runs services without and with a Prometheus endpoint and compares their CPU time per call, in rounds that alternate, so
 * that other work on the machine and warming up meet both alike. An empty call (a health check) and GetFile.
 */
import { parseArgs } from 'node:util';
import { toBinary, create } from '@bufbuild/protobuf';
import {
  GetFileRequestSchema,
  GetFileResponseSchema,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { HealthCheckResponseSchema } from '@asset-service/contract/grpc/health/v1/health_pb.js';
import { freePort } from '../test/support/ports.ts';
import { startService, type Service } from '../test/support/service.ts';
import { buildService } from './build.ts';
import { contentOf } from './content.ts';
import { LeanClient } from './lean-client.ts';
import { cpuSeconds } from './usage.ts';

const { values } = parseArgs({
  options: {
    calls: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '15' },
    in: { type: 'string', default: '32' },
  },
});
const [calls, rounds, inFlight] = [values.calls, values.rounds, values.in].map(Number) as [
  number,
  number,
  number,
];

await buildService();
const quiet = { ASSET_LOG_LEVEL: 'warn', ASSET_HEALTH_INTERVAL: '25' };
const withMetrics = { ...quiet, ASSET_METRICS_LISTEN: `127.0.0.1:${await freePort()}` };
const services = [
  await startService(quiet, { built: true }),
  await startService(withMetrics, { built: true }),
];
const peers = await Promise.all(services.map(prepare));

for (const kind of ['empty', 'getFile'] as const) {
  const costs: number[][] = [[], []];
  for (let round = -2; round < rounds; round++) {
    // The order alternates: what comes second may find a warmer machine.
    for (const at of round % 2 === 0 ? [0, 1] : [1, 0]) {
      const { pid, call } = peers[at]!;
      const before = cpuSeconds(pid);
      await inParallel(() => call[kind]());
      // The first rounds compile.
      if (round >= 0) costs[at]!.push(((cpuSeconds(pid) - before) / calls) * 1e6);
    }
  }
  // The sums: the clock of the kernel is too coarse for single rounds.
  const [off, on] = costs.map((all) => all.reduce((sum, cost) => sum + cost, 0) / rounds) as [number, number];
  const more = ((on / off - 1) * 100).toFixed(1);
  console.log(`${kind}: ${off.toFixed(1)} µs a call without, ${on.toFixed(1)} with metrics: ${more} % more`);
}
for (const { client } of peers) client.close();
await Promise.all(services.map((service) => service.dispose()));
process.exit(0);

async function prepare(service: Service) {
  const client = new LeanClient(service.url);
  const { id } = await client.upload(contentOf(16 * 1024), { name: 'a.bin', owner: '' });
  const request = toBinary(GetFileRequestSchema, create(GetFileRequestSchema, { fileId: id }));
  const call = {
    empty: () => client.unary('grpc.health.v1.Health/Check', new Uint8Array(), HealthCheckResponseSchema),
    getFile: () => client.unary('asset.v1.AssetService/GetFile', request, GetFileResponseSchema),
  };
  return { client, call, pid: service.pid! };
}

async function inParallel(call: () => Promise<unknown>): Promise<void> {
  let left = calls;
  const lane = async () => {
    while (left-- > 0) await call();
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
}
