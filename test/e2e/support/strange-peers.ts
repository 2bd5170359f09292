import { createServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { AddressInfo, Server } from 'node:net';
import type { Certificate } from '../../support/certificates.ts';

const HTTP1 = 'HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n';
/** An empty SETTINGS frame, which is how a peer of HTTP/2 begins. */
const SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);

/** What a peer that is not the service does with a connection, by name. */
const PEERS: Readonly<Record<string, (socket: Socket) => void>> = {
  'answers HTTP/1.1 and closes': (socket) =>
    socket.once('data', () => socket.end(`${HTTP1}connection: close\r\n\r\n`)),
  'answers HTTP/1.1 and stays': (socket) => socket.on('data', () => socket.write(`${HTTP1}\r\n`)),
  'speaks HTTP/1.1 before it is asked': (socket) => socket.end(`${HTTP1}connection: close\r\n\r\n`),
  'speaks garbage': (socket) => socket.write(Buffer.alloc(70_000, 0x9f)),
  'begins with HTTP/2 and goes on with garbage': (socket) => {
    socket.write(SETTINGS);
    socket.once('data', () => socket.write(Buffer.alloc(5_000, 0xff)));
  },
  'closes at once': (socket) => socket.end(),
  'resets at once': (socket) => socket.resetAndDestroy(),
  'says nothing': (socket) => socket.resume(),
};

/** A peer that runs. */
export interface StrangePeer {
  /** What it does. */
  readonly name: string;
  readonly url: string;
}

/** Starts every peer, each reached over http and over https, and two that speak TLS. */
export async function startStrangePeers(
  certificate: Certificate,
): Promise<AsyncDisposable & { readonly peers: readonly StrangePeer[] }> {
  const servers: Server[] = [];
  const sockets = new Set<Socket>();
  const peers: StrangePeer[] = [];
  const start = async (name: string, server: Server) => {
    server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    servers.push(server);
    const { port } = server.address() as AddressInfo;
    for (const scheme of ['http', 'https'])
      peers.push({ name: `${name} (${scheme})`, url: `${scheme}://127.0.0.1:${port}` });
  };
  for (const [name, meet] of Object.entries(PEERS)) await start(name, createServer(meet));
  const { key, cert } = certificate;
  const answer = (socket: Socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.end(`${HTTP1}connection: close\r\n\r\n`));
  };
  await start('speaks TLS', createTlsServer({ key, cert }, answer));
  await start(
    'speaks TLS without HTTP/2',
    createTlsServer({ key, cert, ALPNProtocols: ['http/1.1'] }, answer),
  );
  return {
    peers,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    },
  };
}
