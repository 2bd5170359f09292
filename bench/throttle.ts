import net from 'node:net';
import { Transform, type TransformCallback } from 'node:stream';

/** A TCP proxy that limits the bytes per second towards the server, for all connections together. */
export async function startThrottle(
  target: { readonly host: string; readonly port: number },
  bytesPerSecond: number,
): Promise<{ readonly port: number; close(): void }> {
  let freeAt = performance.now();
  const slow = () =>
    new Transform({
      highWaterMark: 64 * 1024,
      transform(chunk: Buffer, _encoding, done: TransformCallback) {
        const now = performance.now();
        freeAt = Math.max(freeAt, now) + (chunk.length / bytesPerSecond) * 1000;
        setTimeout(() => done(null, chunk), freeAt - now);
      },
    });
  const sockets = new Set<net.Socket>();
  const server = net.createServer((client) => {
    const upstream = net.connect(target.port, target.host);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(slow()).pipe(upstream);
    upstream.pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
