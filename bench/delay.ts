import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** Bytes that are on their way in one direction at most: a line of 3 Gbit/s is full with them at 20 ms. */
const MAX_UNDER_WAY = 8 * 2 ** 20;

/** A long line: every piece comes out so many milliseconds after it went in, in each direction. */
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
    // Timers of one length end in the order they were set, so pieces keep their order.
    setTimeout(() => {
      to.write(data, () => {
        underWay -= data.length;
        if (underWay < MAX_UNDER_WAY) from.resume();
      });
    }, ms);
  });
  from.on('end', () => setTimeout(() => to.end(), ms));
}
