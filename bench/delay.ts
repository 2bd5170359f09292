import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** Maximum number of bytes in transit in one direction; that allows 3 Gbit/s at 20 ms. */
const MAX_UNDER_WAY = 8 * 2 ** 20;

/** A proxy that delays each chunk by a number of milliseconds in each direction. */
export async function startDelay(
  targetUrl: string,
  ms: number,
): Promise<{ readonly url: string; close(): void }> {
  const target = new URL(targetUrl);
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (inner) => {
    const outer = connect({ host: target.hostname, port: Number(target.port), allowHalfOpen: true });
    for (const [from, to] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      sockets.add(from.setNoDelay(true));
      from.on('error', () => to.destroy());
      from.on('close', () => sockets.delete(from));
      pass(from, to, ms);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function pass(from: Socket, to: Socket, ms: number): void {
  let underWay = 0;
  from.on('data', (data) => {
    underWay += data.length;
    if (underWay >= MAX_UNDER_WAY) from.pause();
    // Timers with equal delays fire in order, so chunks keep their order.
    setTimeout(() => {
      to.write(data, () => {
        underWay -= data.length;
        if (underWay < MAX_UNDER_WAY) from.resume();
      });
    }, ms);
  });
  from.on('end', () => setTimeout(() => to.end(), ms));
}
