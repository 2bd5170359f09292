import { Http2SessionManager } from '@connectrpc/connect-node';
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { AssetClientOptions } from './connection-options.ts';
import { clientClosed } from './errors.ts';

const MiB = 1024 * 1024;

/**
 * How much a download may have in flight. The 64 KiB that HTTP/2 begins with hold a download at 64 KiB a round trip; 8 MiB
 * carry 100 MB/s over 40 ms. It is also what a reader that stalls can pile up, for each download.
 */
const STREAM_WINDOW = 8 * MiB;
const CONNECTION_WINDOW = 32 * MiB;

/**
 * Keeps one HTTP/2 connection, as its base does. Widens the connection's window, which no setting does; listens for errors as long
 * as a session lives, since one without a listener ends the process; and lets go of connections that are still being made.
 */
export class Sessions extends Http2SessionManager {
  readonly #known = new WeakSet<ClientHttp2Session>();
  readonly #sockets: Set<Socket>;
  #closed = false;

  /** @param baseUrl - of which only the origin counts */
  constructor(baseUrl: string, tls: AssetClientOptions['tls']) {
    const sockets = new Set<Socket>();
    const url = new URL(baseUrl);
    super(
      baseUrl,
      // A peer that vanished without a word is found out while a call waits for it, not hours later.
      { pingIntervalMs: 20_000, pingTimeoutMs: 10_000 },
      {
        settings: { initialWindowSize: STREAM_WINDOW, enablePush: false },
        // Node.js refuses new streams past 10 MB of unsent data, which a dozen uploads at once come to.
        maxSessionMemory: 256,
        createConnection: () => {
          const socket = connect(url, tls);
          sockets.add(socket);
          return socket.once('close', () => sockets.delete(socket));
        },
      },
    );
    this.#sockets = sockets;
  }

  override async request(...call: Parameters<Http2SessionManager['request']>): Promise<ClientHttp2Stream> {
    // A call that was waiting for its token would open a connection anew.
    if (this.#closed) throw clientClosed();
    const stream = await super.request(...call);
    const session = stream.session as ClientHttp2Session | undefined;
    if (session !== undefined && !this.#known.has(session)) {
      this.#known.add(session);
      // The streams of the session fail with the same error, and tell it to their callers.
      session.on('error', () => undefined);
      session.setLocalWindowSize(CONNECTION_WINDOW);
    }
    return stream;
  }

  /** Ends every connection, also one whose TLS handshake hangs: that would keep the process alive. */
  close(): void {
    this.#closed = true;
    this.abort();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Opens a connection to the origin of a URL as `http2.connect` does. */
function connect({ protocol, hostname, port }: URL, tls: AssetClientOptions['tls']): Socket {
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  if (protocol === 'http:') return connectTcp({ host, port: Number(port || 80) });
  const name = isIP(host) === 0 ? { servername: host } : {};
  return connectTls({ ...tls, ...name, host, port: Number(port || 443), ALPNProtocols: ['h2'] });
}
