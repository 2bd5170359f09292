import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import {
  ConnectionCount,
  type ConnectionBounds,
  boundControlFrames,
  closeIfVanished,
} from './connection-limits.ts';
import { ConnectionLifetimes, type ConnectionAge } from './connection-lifetime.ts';
import { askFirst, guard, type RequestHandler, type StreamHandler } from './dispatch.ts';
import { handOver } from './protocol-detection.ts';
import { StreamWindows } from './stream-windows.ts';
import { limitStream, type TimeLimits } from './time-limits.ts';

/** Handlers of incoming requests. */
export interface Handlers {
  readonly onRequest: RequestHandler;
  /** Called first for an HTTP/2 stream. */
  readonly onStream?: StreamHandler;
}

/** Options of the listener. */
export interface ListenerOptions {
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  /** True shares the port with other processes that also set this. */
  readonly reusePort?: boolean;
  /** Without it the port has no TLS. */
  readonly tls?: TlsOptions | undefined;
  /** Default: no limit. */
  readonly connections?: ConnectionBounds;
  /** Default: no limit. */
  readonly age?: ConnectionAge;
  /** Default: no limit. */
  readonly times?: TimeLimits;
}

/** Certificate, key and trusted authorities, in PEM. */
export interface TlsOptions {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Authorities of client certificates; undefined if none are requested. */
  readonly clientCa?: Buffer | undefined;
}

/** A listening port. */
export interface Listener {
  /** The port number, also if any free one was requested. */
  readonly port: number;
  /** Answers requests with these handlers from now on. Before the first call requests get 503. */
  serve(handlers: Handlers): void;
  /** Uses another certificate for new connections; throws if it does not match its key. */
  renew(tls: TlsOptions): void;
  /** Divides the receive windows among this many uploads. */
  divideAmong(uploads: number): void;
  /** Goes on serving, but every HTTP/1.1 response is the last one of its connection. */
  drain(): void;
  /** Accepts no new connections, and tells the peers of open ones to use others. Resolves when they know. */
  stop(): Promise<void>;
  /** Stops, lets running calls finish, and ends those that take longer than `graceMs` milliseconds. */
  close(graceMs: number): Promise<void>;
}

/** Maximum memory of one connection, in MiB; Node.js's default of 10 refuses streams when downloads are slow. */
const MAX_SESSION_MIB = 256;

const KEEP_ALIVE_MS = 60_000;
const HEADERS_TIMEOUT_MS = 30_000;

/**
 * Serves HTTP/1.1 and HTTP/2 on one port. With TLS they are distinguished by ALPN, otherwise by the first bytes of
 * the connection.
 */
export async function listen(options: ListenerOptions): Promise<Listener> {
  let handlers: Handlers = {
    onRequest(_request, response) {
      response.writeHead(503);
      response.end();
    },
  };
  const lifetimes = new ConnectionLifetimes(options.age);
  const answer: RequestHandler = (request, response) => handlers.onRequest(request, response);
  const guarded = guard(answer, lifetimes, options.times);
  const onStream: StreamHandler = (...request) => handlers.onStream?.(...request) ?? false;
  const headersTimeout = options.times?.bodyMs ?? HEADERS_TIMEOUT_MS;
  const http1Options = {
    keepAliveTimeout: KEEP_ALIVE_MS,
    headersTimeout,
    connectionsCheckingInterval: Math.min(HEADERS_TIMEOUT_MS, headersTimeout),
    // Uploads may take long; `time-limits.ts` limits other requests.
    requestTimeout: 0,
  };
  const windows = new StreamWindows();
  const sockets = new Set<net.Socket>();
  const http2Options: http2.ServerOptions = {
    settings: { initialWindowSize: windows.initialBytes, maxConcurrentStreams: 1000 },
    maxSessionMemory: MAX_SESSION_MIB,
  };
  // Node.js makes the session of a connection at once, and keeps the socket to itself.
  let connected: net.Socket;
  const onConnection = (socket: net.Socket) => (connected = socket);
  const onSession = (session: http2.ServerHttp2Session) => {
    lifetimes.add(session);
    windows.add(session, connected);
    boundControlFrames(session);
    const { times } = options;
    if (times) session.on('stream', (stream, headers) => limitStream(stream, headers, times));
    closeIfVanished(session, connected, KEEP_ALIVE_MS);
    // A caller that breaks the protocol loses its connection; that is no fault of the service.
    session.on('error', () => undefined);
  };

  let h1: http.Server | undefined;
  let secure: http2.Http2SecureServer | undefined;
  let front: net.Server;
  if (options.tls) {
    // A missing or wrong client certificate is reported by the response to the call, because health and URLs need
    // none.
    const asking = { requestCert: options.tls.clientCa !== undefined, rejectUnauthorized: false };
    secure = http2.createSecureServer(
      {
        ...http2Options,
        ...secureContext(options.tls),
        ...asking,
        allowHTTP1: true,
        handshakeTimeout: headersTimeout,
      },
      guarded,
    );
    secure.prependListener('secureConnection', onConnection);
    secure.on('session', onSession);
    askFirst(secure, onStream);
    // The types know these options only for HTTP/1.1 servers, which this one is as well.
    Object.assign(secure, http1Options);
    secure.on('tlsClientError', () => undefined);
    front = secure;
  } else {
    const h2 = http2.createServer(http2Options, guarded);
    h2.prependListener('connection', onConnection);
    h2.on('session', onSession);
    askFirst(h2, onStream);
    const plain = http.createServer(http1Options, guarded);
    // It starts to check its connections (header timeout, idle time) only on this event, but it never listens by
    // itself: the front server hands connections over.
    plain.emit('listening');
    h1 = plain;
    front = net.createServer((socket) => {
      if (!socket.destroyed) handOver(socket, { http1: plain, http2: h2 }, headersTimeout);
    });
  }
  const connections = new ConnectionCount(options.connections ?? { total: 0, perAddress: 0 });
  front.prependListener('connection', (socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    if (!connections.admit(socket)) socket.destroy();
  });

  await new Promise<void>((resolve, reject) => {
    front.once('error', reject);
    front.listen({ port: options.port, host: options.host, reusePort: options.reusePort ?? false }, resolve);
  });
  const { port } = front.address() as net.AddressInfo;
  const closed = Promise.withResolvers<void>();
  let stopped: Promise<void> | undefined;
  const stop = () => {
    // The `close` of the HTTP/2 server would also end its connections at once.
    if (stopped === undefined) net.Server.prototype.close.call(front, () => closed.resolve());
    return (stopped ??= lifetimes.stop());
  };
  return {
    port,
    serve(next) {
      handlers = next;
    },
    renew(tls) {
      // If the context cannot be created, the server stays unchanged.
      createSecureContext(secureContext(tls));
      secure?.setSecureContext(secureContext(tls));
    },
    divideAmong: (uploads) => windows.divideAmong(uploads),
    drain: () => lifetimes.drain(),
    stop,
    async close(graceMs) {
      const timer = setTimeout(() => {
        for (const session of lifetimes.sessions) session.destroy();
        for (const socket of sockets) socket.destroy();
      }, graceMs);
      await stop();
      // The types know this method only for HTTP/1.1 servers.
      const http1 = h1 ?? (secure as http.Server | undefined);
      const endIdle = () => http1?.closeIdleConnections();
      endIdle();
      const idle = setInterval(() => {
        // A kept-alive connection becomes idle only when its call is over.
        endIdle();
        // Opened in advance, and never used.
        for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
      }, 250);
      await closed.promise;
      clearTimeout(timer);
      clearInterval(idle);
    },
  };
}

function secureContext({ cert, key, clientCa }: TlsOptions): SecureContextOptions {
  return { cert, key, minVersion: 'TLSv1.2', ...(clientCa && { ca: clientCa }) };
}
