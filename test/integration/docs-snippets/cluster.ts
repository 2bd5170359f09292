import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { serverProgram } from '../../support/install.ts';
import { startServer, type Server } from '../../support/process.ts';
import { S3_KEYS, type S3Address } from '../../support/seaweedfs.ts';

/** The code of docs/clusters.md. */
export interface ClusterCode {
  readonly patroni: string;
  readonly haproxy: string;
  readonly weed: string;
  readonly filer: string;
}

/** The machines of the page, each with an address of its own on this machine. */
export interface Machines {
  /** An S3 before both gateways. */
  readonly s3: S3Address;
  /** Path of the file for Patroni. */
  readonly patroni: string;
  dispose(): Promise<void>;
}

const MACHINES = [1, 2, 3];
/** What answers when a server is ready: its port and a path. */
const READY = {
  master: '9333/cluster/status',
  volume: '8080/status',
  filer: '8888/?limit=1',
  s3: '8333/healthz',
};

/**
 * Runs the commands of the page, each in its own directory: three machines with etcd, master and volume server, two of
 * them with filer and gateway, and an HAProxy. The machines are addresses 127.X.Y.1 to .3, so that the ports stay those
 * of the page.
 */
export async function startMachines(code: ClusterCode, dir: string): Promise<Machines> {
  const net = `127.${100 + Math.floor(Math.random() * 100)}.${Math.floor(Math.random() * 250)}`;
  const here = (text: string) => text.replaceAll('10.0.0.', `${net}.`);
  const keys = join(dir, 's3.json');
  const commands = code.weed
    .replaceAll('\\\n', ' ')
    .split('\n')
    .map((line) => line.trim().split(/\s+/));
  const started: Server[] = [];
  const dispose = async () => void (await Promise.all(started.map((server) => server.kill())));

  async function startWeed(kind: keyof typeof READY, machine: number): Promise<void> {
    const words = commands.find(([program, command]) => program === 'weed' && command === kind);
    if (words === undefined) throw new Error(`the page has no command "weed ${kind}"`);
    const own = join(dir, `${kind}-${machine}`);
    await mkdir(own);
    if (kind === 'filer') await writeFile(join(own, 'filer.toml'), here(code.filer));
    // The address and directory of this machine, where the page has those of the first one.
    const args = words.slice(1).map((word) =>
      here(word.replace(/^(-ip(?:\.bind)?=10\.0\.0\.)1$/, `$1${machine}`))
        .replace('/etc/seaweedfs/s3.json', keys)
        .replace(/^(-m?dir)=.*/, `$1=${own}`),
    );
    const server = await startServer({
      name: `weed ${kind}`,
      command: await serverProgram('weed'),
      args: [
        ...['-logtostderr=true', ...args],
        // Two of them on this machine would share a file in /tmp.
        ...(kind === 'filer' || kind === 's3' ? [`-localSocket=${join(own, 'local.sock')}`] : []),
      ],
      env: { HOME: own },
      ...{ dir: own, ownsDir: false },
      ready: async () => (await fetch(`http://${net}.${machine}:${READY[kind]}`)).ok,
    });
    started.push(server);
  }

  try {
    await Promise.all(MACHINES.map(async (machine) => started.push(await startEtcd(net, machine, dir))));
    const credentials = [{ accessKey: S3_KEYS.accessKeyId, secretKey: S3_KEYS.secretAccessKey }];
    const actions = ['Admin', 'Read', 'Write', 'List', 'Tagging'];
    await writeFile(keys, JSON.stringify({ identities: [{ name: 'files', credentials, actions }] }));
    await Promise.all(MACHINES.map((machine) => startWeed('master', machine)));
    await Promise.all(MACHINES.map((machine) => startWeed('volume', machine)));
    // One after the other, as the page says.
    for (const machine of [1, 2]) await startWeed('filer', machine);
    await Promise.all([1, 2].map((machine) => startWeed('s3', machine)));
    // As for PostgreSQL, with the gateways as servers.
    const gateways = here(code.haproxy)
      .replace('/primary', '/healthz')
      .replaceAll(':5432 check port 8008', ':8333 check')
      .replace(/^ *server node3.*\n/m, '')
      .replace('bind :5432', `bind ${net}.9:8333`);
    started.push(await startHaproxy(gateways, `${net}.9`, dir));
  } catch (error) {
    await dispose();
    throw error;
  }
  const patroni = join(dir, 'patroni.yml');
  await writeFile(patroni, here(code.patroni));
  return {
    ...{ patroni, dispose },
    s3: { endpoint: `http://${net}.9:8333`, region: 'us-east-1', ...S3_KEYS },
  };
}

async function startEtcd(net: string, machine: number, dir: string): Promise<Server> {
  const own = join(dir, `etcd-${machine}`);
  await mkdir(own);
  const [client, peer] = [`http://${net}.${machine}:2379`, `http://${net}.${machine}:2380`];
  return startServer({
    name: 'etcd',
    command: await serverProgram('etcd'),
    args: [
      ...['--name', `node${machine}`, '--data-dir', 'data', '--log-level', 'warn'],
      ...['--initial-cluster', MACHINES.map((each) => `node${each}=http://${net}.${each}:2380`).join(',')],
      ...['--listen-client-urls', client, '--advertise-client-urls', client],
      ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
    ],
    ...{ dir: own, ownsDir: false },
    ready: async () => (await fetch(`${client}/health`)).ok,
  });
}

async function startHaproxy(config: string, address: string, dir: string): Promise<Server> {
  const own = join(dir, 'haproxy');
  await mkdir(own);
  await writeFile(join(own, 'haproxy.cfg'), config);
  return startServer({
    name: 'HAProxy',
    command: await serverProgram('haproxy'),
    args: ['-db', '-f', 'haproxy.cfg'],
    ...{ dir: own, ownsDir: false },
    async ready() {
      const socket = connect(8333, address);
      try {
        await once(socket, 'connect');
        return true;
      } finally {
        socket.destroy();
      }
    },
  });
}
