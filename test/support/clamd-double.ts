import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';

/** What a {@link ClamdDouble} does with a file. */
export type ClamdBehaviour =
  /** Responds like a clamd that finds nothing. */
  | 'clean'
  /** Responds with this text. */
  | { readonly answer: string }
  /** Accepts bytes and never responds. */
  | 'silent'
  /** Accepts no bytes. */
  | 'stalled'
  /** Resets the connection after this many bytes. */
  | { readonly cutAfter: number }
  /** Reports that the file is too large after this many bytes, and closes. */
  | { readonly limit: number };

/** A server with clamd's protocol and all failures that a real one can have. */
export interface ClamdDouble {
  readonly host: string;
  readonly port: number;
  behaviour: ClamdBehaviour;
  /** The files that were received completely. */
  readonly files: Buffer[];
  /** Number of open connections. */
  connections(): number;
  /** Refuses connections until `up` is called. */
  down(): Promise<void>;
  up(): Promise<void>;
  close(): Promise<void>;
}

/** Starts a double on a free loopback port. */
export async function startClamdDouble(): Promise<ClamdDouble> {
  const sockets = new Set<Socket>();
  /** Sockets that are not read, so their end is not noticed. */
  const stalled = new Set<Socket>();
  const files: Buffer[] = [];
  const double = { behaviour: 'clean' as ClamdBehaviour };

  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => [sockets, stalled].forEach((set) => set.delete(socket)));
    socket.on('error', () => undefined);
    let received = Buffer.alloc(0);
    let streaming = false;
    const content: Buffer[] = [];
    let contentBytes = 0;
    socket.on('data', (data) => {
      received = Buffer.concat([received, data]);
      if (!streaming) {
        const end = received.indexOf(0);
        if (end < 0) return;
        const command = received.subarray(0, end).toString();
        received = received.subarray(end + 1);
        if (command === 'zPING') return void socket.end('PONG\0');
        if (command !== 'zINSTREAM') return void socket.end('UNKNOWN COMMAND\0');
        streaming = true;
        if (double.behaviour === 'stalled') {
          stalled.add(socket);
          return void socket.pause();
        }
      }
      while (received.length >= 4) {
        const length = received.readUInt32BE(0);
        if (received.length < 4 + length) break;
        content.push(received.subarray(4, 4 + length));
        contentBytes += length;
        received = received.subarray(4 + length);
        const { behaviour } = double;
        if (typeof behaviour === 'object' && 'cutAfter' in behaviour && contentBytes >= behaviour.cutAfter) {
          return void socket.resetAndDestroy();
        }
        if (typeof behaviour === 'object' && 'limit' in behaviour && contentBytes > behaviour.limit) {
          return void socket.end('INSTREAM size limit exceeded. ERROR\0');
        }
        if (length > 0) continue;
        files.push(Buffer.concat(content));
        if (typeof behaviour === 'object' && 'answer' in behaviour) socket.end(`${behaviour.answer}\0`);
        else if (behaviour !== 'silent') socket.end('stream: OK\0');
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  const down = async () => {
    if (!server.listening) return;
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  return Object.assign(double, {
    host: '127.0.0.1',
    port,
    files,
    connections: () => sockets.size - stalled.size,
    down,
    up: async () => {
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
    },
    close: down,
  });
}
