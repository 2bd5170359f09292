/**
 * What metrics and traces cost: `npm run bench:metrics`.
 *
 * Compares the CPU time per call, and the calls per second, of services without both, with a Prometheus endpoint, and with
 * traces of which none is sampled. Two processes of the same program differ by several percent, so there are some of each
 * kind; and rounds are short and alternate, so that other work on the machine meets all alike. An empty call (a health check)
 * and GetFile.
 */
import { readdirSync, readFileSync } from 'node:fs';
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

const { values } = parseArgs({
  options: {
    calls: { type: 'string', default: '2000' },
    rounds: { type: 'string', default: '15' },
    in: { type: 'string', default: '32' },
    services: { type: 'string', default: '4' },
  },
});
const { calls, rounds, in: inFlight, services: count } = values;

/** Settings of each kind. The first is what the others are compared with. */
const KINDS: Readonly<Record<string, () => Promise<Record<string, string>>>> = {
  without: async () => ({}),
  'with metrics': async () => ({ ASSET_METRICS_LISTEN: `127.0.0.1:${await freePort()}` }),
  'traces, none sampled': async () => ({
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://127.0.0.1:9/v1/traces',
    OTEL_TRACES_SAMPLER: 'always_off',
  }),
};

interface Peer {
  readonly kind: string;
  readonly service: Service;
  readonly client: LeanClient;
  readonly call: Readonly<Record<'empty' | 'getFile', () => Promise<unknown>>>;
  cpuNs: number;
  wallNs: number;
}

await buildService();
const kinds = Object.keys(KINDS);
const peers: Peer[] = [];
for (let at = 0; at < Number(count); at++) peers.push(...(await Promise.all(kinds.map(prepare))));

for (const name of ['empty', 'getFile'] as const) {
  for (let round = -2; round < Number(rounds); round++) {
    // The first rounds compile.
    if (round === 0) for (const peer of peers) [peer.cpuNs, peer.wallNs] = [0, 0];
    // The order alternates: what comes second may find a warmer machine.
    for (const peer of round % 2 === 0 ? peers : peers.toReversed()) await measure(peer, peer.call[name]);
  }
  const made = Number(calls) * Number(rounds);
  const [base] = kinds.map((kind) => meanOf(kind, ({ cpuNs }) => cpuNs / made / 1000));
  for (const kind of kinds) {
    const { mean, error } = meanOf(kind, ({ cpuNs }) => cpuNs / made / 1000);
    const more = ((mean / base!.mean - 1) * 100).toFixed(1);
    const rate = meanOf(kind, ({ wallNs }) => made / (wallNs / 1e9)).mean.toFixed(0);
    console.log(
      `${name}, ${kind}: ${mean.toFixed(1)} ± ${error.toFixed(1)} µs of CPU a call, ${more} % more; ${rate} calls/s`,
    );
  }
}
for (const { client } of peers) client.close();
await Promise.all(peers.map(({ service }) => service.dispose()));
process.exit(0);

async function prepare(kind: string): Promise<Peer> {
  const quiet = { ASSET_LOG_LEVEL: 'warn', ASSET_HEALTH_INTERVAL: '25' };
  const service = await startService({ ...quiet, ...(await KINDS[kind]!()) }, { built: true });
  const client = new LeanClient(service.url);
  const { id } = await client.upload(contentOf(16 * 1024), { name: 'a.bin', owner: '' });
  const request = toBinary(GetFileRequestSchema, create(GetFileRequestSchema, { fileId: id }));
  const call = {
    empty: () => client.unary('grpc.health.v1.Health/Check', new Uint8Array(), HealthCheckResponseSchema),
    getFile: () => client.unary('asset.v1.AssetService/GetFile', request, GetFileResponseSchema),
  };
  return { kind, service, client, call, cpuNs: 0, wallNs: 0 };
}

/** Makes the calls of one round and adds what they took. */
async function measure(peer: Peer, call: () => Promise<unknown>): Promise<void> {
  let left = Number(calls);
  const lane = async () => {
    while (left-- > 0) await call();
  };
  const [cpu, started] = [cpuNs(peer.service.pid!), process.hrtime.bigint()];
  await Promise.all(Array.from({ length: Number(inFlight) }, lane));
  peer.cpuNs += cpuNs(peer.service.pid!) - cpu;
  peer.wallNs += Number(process.hrtime.bigint() - started);
}

/** Mean over the processes of a kind, and its standard error. */
function meanOf(kind: string, read: (peer: Peer) => number): { mean: number; error: number } {
  const all = peers.filter((peer) => peer.kind === kind).map(read);
  const mean = all.reduce((sum, one) => sum + one, 0) / all.length;
  const squares = all.reduce((sum, one) => sum + (one - mean) ** 2, 0);
  return { mean, error: Math.sqrt(squares / Math.max(1, all.length - 1) / all.length) };
}

/** CPU time of all threads of a process so far, in nanoseconds: the ticks of `/proc/PID/stat` are too coarse. Needs Linux. */
function cpuNs(pid: number): number {
  const spent = readdirSync(`/proc/${pid}/task`).map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]),
  );
  return spent.reduce((sum, one) => sum + one, 0);
}
