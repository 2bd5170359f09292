import { freePorts } from '../../support/ports.ts';
import { serverProgram } from '../../support/install.ts';
import { makeDir, startServer, type Server } from '../../support/process.ts';

/** An etcd of several members. */
export interface Etcd {
  readonly members: readonly Server[];
  /** `host:port` of each member, for clients. */
  readonly addresses: readonly string[];
  dispose(): Promise<void>;
}

/** Starts an etcd of `size` members. Takes about three seconds. */
export async function startEtcd(size: number): Promise<Etcd> {
  const program = await serverProgram('etcd');
  const ports = await freePorts(2 * size);
  const members = Array.from({ length: size }, (_none, index) => ({
    name: `etcd${index}`,
    client: `http://127.0.0.1:${ports[2 * index]}`,
    peer: `http://127.0.0.1:${ports[2 * index + 1]}`,
  }));
  const cluster = members.map(({ name, peer }) => `${name}=${peer}`).join(',');
  const started = await Promise.all(
    members.map(async ({ name, client, peer }) =>
      startServer({
        name: 'etcd',
        command: program,
        args: [
          ...['--name', name, '--data-dir', 'data', '--initial-cluster', cluster],
          ...['--listen-client-urls', client, '--advertise-client-urls', client],
          ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
          // Many tests share the machine: a slow answer is not yet a dead leader.
          ...['--heartbeat-interval', '250', '--election-timeout', '2500', '--log-level', 'warn'],
        ],
        dir: await makeDir('etcd'),
        ownsDir: true,
        ready: async () => (await fetch(`${client}/health`)).ok,
      }),
    ),
  );
  return {
    members: started,
    addresses: members.map(({ client }) => new URL(client).host),
    dispose: async () => void (await Promise.all(started.map((member) => member.dispose()))),
  };
}
