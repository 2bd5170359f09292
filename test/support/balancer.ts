import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { healthOf } from './service.ts';

/** A balancer of connections, as a Service of Kubernetes or a network load balancer is one. */
export interface Balancer {
  readonly url: string;
  /** Replicas that get new connections now, by their port. */
  readonly healthy: ReadonlySet<number>;
  /** Number of connections that clients have opened so far. */
  readonly accepted: number;
  close(): Promise<void>;
}

/** Milliseconds between two checks of a replica. */
const CHECK_MS = 100;

/**
 * Starts a balancer on a free loopback port. It gives each new connection to the next replica whose health is SERVING, and
 * knows nothing of calls. If a replica refuses a connection it tries the next one.
 */
export async function startBalancer(ports: readonly number[]): Promise<Balancer> {
  const healthy = new Set<number>();
  const sockets = new Set<Socket>();
  let turn = 0;
  let accepted = 0;
  let isClosed = false;

  async function watchHealth(port: number): Promise<void> {
    while (!isClosed) {
      const status = await healthOf(`http://127.0.0.1:${port}`).catch(() => 'down');
      if (status === 'SERVING') healthy.add(port);
      else healthy.delete(port);
      await sleep(CHECK_MS);
    }
  }

  function join(from: Socket, tried: readonly number[] = []): void {
    const choice = [...healthy].filter((port) => !tried.includes(port));
    const port = choice[turn++ % choice.length];
    if (port === undefined) return void from.destroy();
    const to = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    to.setNoDelay(true);
    const refused = () => join(from, [...tried, port]);
    to.once('error', refused);
    to.once('connect', () => {
      to.off('error', refused);
      for (const [one, other] of [
        [from, to],
        [to, from],
      ] as const) {
        one.on('error', () => other.destroy());
        one.on('close', () => other.destroy());
        one.pipe(other);
      }
      sockets.add(to).add(from);
    });
  }

  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    accepted += 1;
    socket.setNoDelay(true);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    join(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const watching = ports.map(watchHealth);
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    healthy,
    get accepted() {
      return accepted;
    },
    async close() {
      isClosed = true;
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await Promise.all([closed, ...watching]);
    },
  };
}
