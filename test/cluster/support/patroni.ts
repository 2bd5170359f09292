import { existsSync } from 'node:fs';
import { readFile, realpath, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { eventually } from '../../support/eventually.ts';
import { serverProgram } from '../../support/install.ts';
import { freePorts } from '../../support/ports.ts';
import { makeDir, startServer, type Identity, type Server } from '../../support/process.ts';
import { startEtcd, type Etcd } from './etcd.ts';
import { startBalancer } from './haproxy.ts';

/** A PostgreSQL under a Patroni. */
export interface PostgresNode extends Server {
  readonly name: string;
  /** Base URL of Patroni's REST API. */
  readonly api: string;
  /** `host:port` of its PostgreSQL. */
  readonly address: string;
  /** Stops all its processes in the middle of what they do, like a machine that hangs; `SIGCONT` lets them go on. */
  signalAll(signal: 'SIGSTOP' | 'SIGCONT'): Promise<void>;
}

/** What Patroni says of a member of its cluster. */
interface Member {
  readonly name: string;
  readonly role: 'leader' | 'replica' | 'sync_standby' | 'quorum_standby';
  readonly state: string;
}

/** Three PostgreSQLs under Patroni with synchronous replication, an etcd, and an HAProxy that leads to the leader. */
export interface PostgresCluster {
  readonly nodes: readonly PostgresNode[];
  readonly etcd: Etcd;
  /** URL of a database, through the HAProxy. */
  readonly url: string;
  /** The node that has this role now; waits until there is one. */
  nodeOf(role: 'leader' | 'sync_standby' | 'replica'): Promise<PostgresNode>;
  /** Moves the leader's role to the synchronous standby in good order. */
  switchover(): Promise<void>;
  /** Waits until all nodes run, one as leader and one as its synchronous standby. */
  whole(): Promise<void>;
  dispose(): Promise<void>;
}

/** PostgreSQL refuses to run as root; this is `nobody`. */
const NOBODY: Identity = { uid: 65_534, gid: 65_534 };

/** Time for which a leader that does not renew its lease stays leader, in seconds; Patroni takes no less. */
export const LEASE_SECONDS = 20;

/** Time in which the nodes join or join again, in milliseconds, on a busy machine. */
const JOIN_MS = 180_000;

/** Starts the cluster. Takes about twenty seconds. */
export async function startPostgresCluster(): Promise<PostgresCluster> {
  const etcd = await startEtcd(3);
  const ports = await freePorts(6);
  const starts = [0, 1, 2].map((index) =>
    startNode(`node${index}`, { postgres: ports[2 * index]!, rest: ports[2 * index + 1]! }, etcd.addresses),
  );
  const nodes = await Promise.all(starts);
  const balancer = await startBalancer(
    nodes.map(({ address, api }) => ({ address, checkPort: Number(new URL(api).port) })),
    '/primary',
  );

  const members = async (): Promise<readonly Member[]> => {
    for (const { api, pid } of nodes) {
      if (pid === undefined) continue;
      const answer = await fetch(`${api}/cluster`, { signal: AbortSignal.timeout(5_000) }).catch(
        () => undefined,
      );
      if (answer?.ok) return ((await answer.json()) as { members: readonly Member[] }).members;
    }
    throw new Error('no Patroni answers');
  };
  const nodeOf = (role: Member['role']) =>
    eventually(async () => {
      const member = (await members()).find((one) => one.role === role);
      if (!member) throw new Error(`there is no ${role}`);
      return nodes.find(({ name }) => name === member.name)!;
    }, JOIN_MS);
  const whole = () =>
    eventually(async () => {
      const found = await members();
      const up = found.filter(({ state }) => state === 'running' || state === 'streaming');
      const roles = up.map(({ role }) => role);
      if (up.length === nodes.length && roles.includes('leader') && roles.includes('sync_standby')) return;
      throw new Error(`the cluster is not whole: ${JSON.stringify(found)}`);
    }, JOIN_MS);
  await whole();
  return {
    ...{ nodes, etcd, nodeOf, whole, url: `postgres://postgres:secret@${balancer.address}/postgres` },
    async switchover() {
      const [leader, candidate] = [await nodeOf('leader'), await nodeOf('sync_standby')];
      const answer = await fetch(`${leader.api}/switchover`, {
        method: 'POST',
        body: JSON.stringify({ leader: leader.name, candidate: candidate.name }),
      });
      if (!answer.ok) throw new Error(`switchover: ${answer.status} ${await answer.text()}`);
    },
    async dispose() {
      await Promise.all([balancer.dispose(), ...nodes.map((node) => node.dispose())]);
      await etcd.dispose();
    },
  };
}

async function startNode(
  name: string,
  ports: { readonly postgres: number; readonly rest: number },
  etcd: readonly string[],
): Promise<PostgresNode> {
  const [patroni, postgres] = [await serverProgram('patroni'), await serverProgram('postgres')];
  const bin = dirname(await realpath(postgres));
  const identity = process.getuid?.() === 0 ? NOBODY : undefined;
  const dir = await makeDir('patroni', identity);
  const data = join(dir, 'data');
  const [address, api] = [`127.0.0.1:${ports.postgres}`, `127.0.0.1:${ports.rest}`];
  const config = configOf({ name, address, api, etcd, dir, data, bin });
  // JSON is YAML.
  await writeFile(join(dir, 'patroni.json'), JSON.stringify(config), { mode: 0o644 });
  const server = await startServer({
    name: 'Patroni',
    command: patroni,
    args: [join(dir, 'patroni.json')],
    env: { LD_LIBRARY_PATH: librariesOf(bin), HOME: dir },
    identity,
    dir,
    ownsDir: true,
    ready: async () => (await fetch(`http://${api}/liveness`)).ok,
    startTimeoutMs: 60_000,
  });

  /** PostgreSQL runs in a session of its own, which the signals for Patroni do not reach. */
  const signalPostgres = async (name: NodeJS.Signals, alsoChildren = false) => {
    const [pid] = (await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n');
    if (!pid) return;
    const children = alsoChildren ? await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8') : '';
    for (const one of [pid, ...children.split(' ').filter((child) => child !== '')]) {
      try {
        process.kill(Number(one), name);
      } catch {
        // It has ended.
      }
    }
  };
  return {
    ...{ name, address, api: `http://${api}`, log: server.log, exit: server.exit },
    get pid() {
      return server.pid;
    },
    start: server.start,
    stop: server.stop,
    /** Kills both processes at once, like a machine without power. */
    async kill() {
      await Promise.all([signalPostgres('SIGKILL'), server.kill()]);
    },
    async signalAll(signal) {
      await signalPostgres(signal, true);
      if (server.pid !== undefined) process.kill(-server.pid, signal);
    },
    async dispose() {
      await server.kill();
      await signalPostgres('SIGKILL');
      await server.dispose();
    },
  };
}

function configOf(node: {
  readonly name: string;
  readonly address: string;
  readonly api: string;
  readonly etcd: readonly string[];
  readonly dir: string;
  readonly data: string;
  readonly bin: string;
}) {
  const { name, address, api, etcd, dir, data, bin } = node;
  return {
    ...{ scope: 'assets', name, etcd3: { hosts: etcd } },
    restapi: { listen: api, connect_address: api },
    bootstrap: {
      dcs: {
        ...{ ttl: LEASE_SECONDS, loop_wait: 2, retry_timeout: 5, synchronous_mode: true },
        postgresql: {
          ...{ use_pg_rewind: true, use_slots: true },
          parameters: {
            max_connections: 100,
            shared_buffers: '16MB',
            wal_keep_size: '64MB',
            max_wal_size: '256MB',
          },
        },
      },
      initdb: [{ encoding: 'UTF8' }, { locale: 'C' }, 'no-sync'],
    },
    postgresql: {
      ...{ listen: address, connect_address: address, data_dir: data, bin_dir: bin },
      pgpass: join(dir, 'pgpass'),
      authentication: {
        superuser: { username: 'postgres', password: 'secret' },
        replication: { username: 'replicator', password: 'secret' },
      },
      pg_hba: [
        'host all all 127.0.0.1/32 scram-sha-256',
        'host replication replicator 127.0.0.1/32 scram-sha-256',
      ],
      // A killed process loses nothing that the kernel has; only a power failure would.
      parameters: { unix_socket_directories: dir, fsync: 'off' },
    },
  };
}

/** The directories with the libraries that were extracted with these programs. */
function librariesOf(bin: string): string {
  const root = join(bin, '..', '..', '..', '..', '..');
  const triplets = ['x86_64-linux-gnu', 'aarch64-linux-gnu'];
  return ['usr/lib', 'lib']
    .flatMap((lib) => triplets.map((triplet) => join(root, lib, triplet)))
    .filter((dir) => existsSync(dir))
    .join(':');
}
