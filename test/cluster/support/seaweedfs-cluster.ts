import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from '../../support/eventually.ts';
import { serverProgram } from '../../support/install.ts';
import { freePorts } from '../../support/ports.ts';
import { makeDir, startServer, type Server } from '../../support/process.ts';
import { S3_KEYS, type S3Address } from '../../support/seaweedfs.ts';
import { startEtcd, type Etcd } from './etcd.ts';
import { startBalancer } from './haproxy.ts';

/** A server of the cluster. */
export type Part = Server & {
  /** Its address for HTTP, such as `http://127.0.0.1:9333`. */
  readonly url: string;
  /** `host:port.grpcPort`, as its peers name it. */
  readonly peer: string;
};

/** Three masters, three volume servers, two filers that share an etcd, two S3 gateways, and a HAProxy before those. */
export interface SeaweedCluster extends S3Address {
  readonly volumes: readonly Part[];
  readonly filers: readonly Part[];
  readonly gateways: readonly Part[];
  /** The master that leads. */
  leader(): Promise<Part>;
  /** Waits until all masters agree on a leader that knows all volume servers. */
  whole(): Promise<void>;
  dispose(): Promise<void>;
}

interface Ports {
  readonly http: number;
  readonly grpc: number;
}

/** Two copies of every byte, on two servers. */
const REPLICATION = '001';

const JOIN_MS = 120_000;

/** Starts the cluster. Takes about fifteen seconds. */
export async function startSeaweedCluster(): Promise<SeaweedCluster> {
  const ports = await freePorts(20);
  const next = (): Ports => ({ http: ports.pop()!, grpc: ports.pop()! });
  const masterPorts = [next(), next(), next()];
  const peers = masterPorts.map(peerOf).join(',');
  const etcd = await startEtcd(3);
  const masters = await Promise.all(
    masterPorts.map((own) =>
      startPart('master', own, '/cluster/status', (dir) => [
        ...[`-mdir=${dir}`, `-peers=${peers}`, '-telemetry=false', '-electionTimeout=3s'],
        ...[`-defaultReplication=${REPLICATION}`, '-volumeSizeLimitMB=64'],
      ]),
    ),
  );
  const volumes = await Promise.all(
    [next(), next(), next()].map((own) =>
      startPart('volume', own, '/status', (dir) => [`-dir=${dir}`, `-master=${peers}`, '-max=200']),
    ),
  );
  const filers: Part[] = [];
  // One after the other: the first one creates what they share.
  for (const own of [next(), next()]) filers.push(await startFiler(own, peers, etcd));
  const gateways = await Promise.all(
    filers.map(async ({ peer }, index) =>
      startPart('s3', next(), '/healthz', async (dir) => {
        const config = join(dir, 's3.json');
        await writeFile(config, JSON.stringify({ identities: [identity()] }));
        // A gateway stays healthy without its filer, so it needs another one.
        const other = filers[1 - index]!.peer;
        return [
          `-filer=${peer},${other}`,
          `-config=${config}`,
          '-port.lance=0',
          '-port.iceberg=0',
          '-iam=false',
        ];
      }),
    ),
  );
  const balancer = await startBalancer(
    gateways.map(({ url }) => ({ address: new URL(url).host })),
    '/healthz',
  );

  const leader = () =>
    eventually(async () => {
      for (const master of masters) {
        if (master.pid !== undefined && (await statusOf(master)).IsLeader) return master;
      }
      throw new Error('no master leads');
    }, JOIN_MS);
  const whole = () =>
    eventually(async () => {
      const status = await Promise.all(masters.map(statusOf));
      if (status.some(({ IsLeader, Leader }) => !IsLeader && !Leader))
        throw new Error('a master knows no leader');
      const known = await volumeServersOf(await leader());
      if (known !== volumes.length) throw new Error(`the leader knows ${known} volume servers`);
    }, JOIN_MS);
  await whole();
  return {
    ...{ volumes, filers, gateways, leader, whole, ...S3_KEYS },
    ...{ endpoint: `http://${balancer.address}`, region: 'us-east-1' },
    async dispose() {
      const parts = [balancer, ...gateways, ...filers, ...volumes, ...masters];
      await Promise.all(parts.map(async (part) => part.kill().then(() => part.dispose())));
      await etcd.dispose();
    },
  };
}

/** A SeaweedFS server with its own directory. It keeps its ports and data over restarts. */
async function startPart(
  kind: 'master' | 'volume' | 'filer' | 's3',
  ports: Ports,
  readyPath: string,
  options: (dir: string) => readonly string[] | Promise<readonly string[]>,
): Promise<Part> {
  const dir = await makeDir(`seaweedfs-${kind}`);
  const url = `http://127.0.0.1:${ports.http}`;
  const server = await startServer({
    name: `SeaweedFS ${kind}`,
    command: await serverProgram('weed'),
    args: [
      ...['-logtostderr=true', kind, '-ip=127.0.0.1', '-ip.bind=127.0.0.1'],
      ...[`-port=${ports.http}`, `-port.grpc=${ports.grpc}`, ...(await options(dir))],
    ],
    env: { HOME: dir },
    dir,
    ownsDir: true,
    ready: async () => (await fetch(url + readyPath)).ok,
    startTimeoutMs: 60_000,
  });
  return Object.assign(server, { url, peer: peerOf(ports) });
}

/** A filer that keeps its records in etcd. */
function startFiler(ports: Ports, masters: string, etcd: Etcd): Promise<Part> {
  return startPart('filer', ports, '/?limit=1', async (dir) => {
    const lines = ['[leveldb2]', 'enabled = false', '[etcd]', 'enabled = true'];
    const settings = [
      `servers = "${etcd.addresses.join(',')}"`,
      'key_prefix = "seaweedfs."',
      'timeout = "3s"',
    ];
    await writeFile(join(dir, 'filer.toml'), [...lines, ...settings, ''].join('\n'));
    return [`-master=${masters}`];
  });
}

const peerOf = ({ http, grpc }: Ports) => `127.0.0.1:${http}.${grpc}`;

/** The user of the tests, who may create buckets. */
const identity = () => ({
  name: 'files',
  credentials: [{ accessKey: S3_KEYS.accessKeyId, secretKey: S3_KEYS.secretAccessKey }],
  actions: ['Admin', 'Read', 'Write', 'List', 'Tagging'],
});

async function statusOf({ url }: Part): Promise<{ readonly IsLeader?: boolean; readonly Leader?: string }> {
  const answer = await fetch(`${url}/cluster/status`, { signal: AbortSignal.timeout(5_000) });
  return (await answer.json()) as { IsLeader?: boolean; Leader?: string };
}

async function volumeServersOf({ url }: Part): Promise<number> {
  type Topology = { DataCenters?: { Racks?: { DataNodes?: unknown[] }[] }[] };
  const answer = await fetch(`${url}/dir/status`, { signal: AbortSignal.timeout(5_000) });
  const { Topology: topology } = (await answer.json()) as { Topology: Topology };
  const racks = (topology.DataCenters ?? []).flatMap(({ Racks }) => Racks ?? []);
  return racks.reduce((sum, { DataNodes }) => sum + (DataNodes?.length ?? 0), 0);
}
