import { Http2SessionManager } from '@connectrpc/connect-node';
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { AssetClientOptions } from './connection-options.ts';
import { clientClosed } from './errors.ts';

const MiB = 1024 * 1024;

/**
 * Receive window of one download, in bytes. HTTP/2's default of 64 KiB limits a download to 64 KiB per round trip;
 * 8 MiB allow 100 MB/s at 40 ms. A stalled reader can buffer as much, for each download.
 */
const STREAM_WINDOW = 8 * MiB;
const CONNECTION_WINDOW = 32 * MiB;

/**
 * Keeps one HTTP/2 connection, like its base class. Widens the connection window, for which there is no setting;
 * listens for errors of a session, because an unhandled one ends the process; and closes connections that are still
 * being opened.
 */
export class Sessions extends Http2SessionManager {
  readonly #known = new WeakSet<ClientHttp2Session>();
  readonly #sockets: Set<Socket>;
  #closed = false;

  /** @param baseUrl - only its origin is used */
  constructor(baseUrl: string, tls: AssetClientOptions['tls']) {
    const sockets = new Set<Socket>();
    const url = new URL(baseUrl);
    super(
      baseUrl,
      // Detects a vanished peer while a call waits for it, not hours later. A PING waits for what was sent before it.
      { pingIntervalMs: 20_000, pingTimeoutMs: 20_000 },
      {
        settings: { initialWindowSize: STREAM_WINDOW, enablePush: false },
        // Node.js refuses new streams beyond 10 MB of unsent data, which a dozen concurrent uploads reach.
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
    // A call that was waiting for its token would reopen the connection.
    if (this.#closed) throw clientClosed();
    const stream = await super.request(...call);
    const session = stream.session as ClientHttp2Session | undefined;
    if (session !== undefined && !this.#known.has(session)) {
      this.#known.add(session);
      // The streams of the session report the same error to their callers.
      session.on('error', () => undefined);
      session.setLocalWindowSize(CONNECTION_WINDOW);
    }
    return stream;
  }

  /** Closes every connection, also during a TLS handshake that hangs: it would keep the process alive. */
  close(): void {
    this.#closed = true;
    this.abort();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Opens a connection to the origin of a URL, like `http2.connect`. */
function connect({ protocol, hostname, port }: URL, tls: AssetClientOptions['tls']): Socket {
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  if (protocol === 'http:') return connectTcp({ host, port: Number(port || 80) });
  const name = isIP(host) === 0 ? { servername: host } : {};
  return connectTls({ ...tls, ...name, host, port: Number(port || 443), ALPNProtocols: ['h2'] });
}
