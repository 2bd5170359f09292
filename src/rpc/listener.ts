import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import type { connectNodeAdapter } from '@connectrpc/connect-node';
import { ConnectionCount, type ConnectionBounds } from './listener/connection-count.ts';
import { boundControlFrames } from './listener/control-frames.ts';
import type { StreamHandler } from './grpc/handler.ts';
import { lingerIfUnread } from './listener/lingering-close.ts';
import { handOver } from './listener/protocol-detection.ts';
import { StreamWindows } from './listener/stream-windows.ts';
import { limitRequest, limitStream, type TimeLimits } from './listener/time-limits.ts';

/** Answers a request of HTTP/1.1 or HTTP/2. */
export type RequestHandler = ReturnType<typeof connectNodeAdapter>;

/** Who answers what comes in. */
export interface Handlers {
  readonly onRequest: RequestHandler;
  /** Is asked before, where the request comes over HTTP/2. */
  readonly onStream?: StreamHandler;
}

/** Where and how to listen. */
export interface ListenerOptions {
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  /** True to share the port with other processes that say so too. */
  readonly reusePort?: boolean;
  /** Without it the port speaks cleartext. */
  readonly tls?: TlsOptions | undefined;
  /** Any number where left out. */
  readonly connections?: ConnectionBounds;
  /** Any time where left out. */
  readonly times?: TimeLimits;
}

/** What a port shows and whom it trusts, in PEM. */
export interface TlsOptions {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Authorities of client certificates; undefined if callers are not asked for one. */
  readonly clientCa?: Buffer | undefined;
}

/** A port that answers. */
export interface Listener {
  /** The port, also where any free one was asked for. */
  readonly port: number;
  /** Answers requests with these handlers from now on. Before the first call they get 503. */
  serve(handlers: Handlers): void;
  /** Shows another certificate to connections that are made from now on; throws if it does not fit its key. */
  renew(tls: TlsOptions): void;
  /** Divides the memory for bytes that callers send ahead among so many uploads. */
  divideAmong(uploads: number): void;
  /**
   * Takes no more connections, lets the calls in hand finish, and cuts off those that have not after
   * `graceMs` milliseconds.
   */
  close(graceMs: number): Promise<void>;
}

/** Memory that one connection may take, in MiB; Node's default of 10 turns streams away when downloads are slow. */
const MAX_SESSION_MIB = 256;

const KEEP_ALIVE_MS = 60_000;
const HEADERS_TIMEOUT_MS = 30_000;

/**
 * Serves HTTP/1.1 and HTTP/2 on one port. With TLS the two are told apart by ALPN; in cleartext by the
 * first bytes of the connection.
 */
export async function listen(options: ListenerOptions): Promise<Listener> {
  let handlers: Handlers = {
    onRequest(_request, response) {
      response.writeHead(503);
      response.end();
    },
  };
  const guarded = guard((request, response) => handlers.onRequest(request, response), options.times);
  const onStream: StreamHandler = (...request) => handlers.onStream?.(...request) ?? false;
  const headersTimeout = options.times?.bodyMs ?? HEADERS_TIMEOUT_MS;
  const http1Options = {
    keepAliveTimeout: KEEP_ALIVE_MS,
    headersTimeout,
    connectionsCheckingInterval: Math.min(HEADERS_TIMEOUT_MS, headersTimeout),
    // Uploads may last; `time-limits.ts` bounds what may not.
    requestTimeout: 0,
  };
  const windows = new StreamWindows();
  const sessions = new Set<http2.ServerHttp2Session>();
  const sockets = new Set<net.Socket>();
  const http2Options: http2.ServerOptions = {
    settings: { initialWindowSize: windows.initialBytes, maxConcurrentStreams: 1000 },
    maxSessionMemory: MAX_SESSION_MIB,
  };
  const onSession = (session: http2.ServerHttp2Session) => {
    sessions.add(session);
    windows.add(session);
    boundControlFrames(session);
    const { times } = options;
    if (times) session.on('stream', (stream, headers) => limitStream(stream, headers, times));
    const stop = keepAlive(session);
    session.once('close', () => {
      stop();
      sessions.delete(session);
    });
    // A caller that breaks the protocol loses its connection; that is no fault of the service.
    session.on('error', () => undefined);
  };

  let h1: http.Server | undefined;
  let secure: http2.Http2SecureServer | undefined;
  let front: net.Server;
  if (options.tls) {
    // Who has no certificate, or a wrong one, is told so by the answer to the call: health and URLs ask for none.
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
    secure.on('session', onSession);
    askFirst(secure, onStream);
    // Types know them of servers of HTTP/1.1 only, which this one is as well.
    Object.assign(secure, http1Options);
    secure.on('tlsClientError', () => undefined);
    front = secure;
  } else {
    const h2 = http2.createServer(http2Options, guarded);
    h2.on('session', onSession);
    askFirst(h2, onStream);
    const plain = http.createServer(http1Options, guarded);
    // It begins to watch over its connections (header timeout, idleness) only when it listens, which it
    // never does by itself: the front hands connections over.
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
  return {
    port: (front.address() as net.AddressInfo).port,
    serve(next) {
      handlers = next;
    },
    renew(tls) {
      // A context that cannot be made leaves the server as it is.
      createSecureContext(secureContext(tls));
      secure?.setSecureContext(secureContext(tls));
    },
    divideAmong: (uploads) => windows.divideAmong(uploads),
    async close(graceMs) {
      const closed = new Promise<void>((resolve) => front.close(() => resolve()));
      h1?.closeIdleConnections();
      for (const session of sessions) session.close();
      const timer = setTimeout(() => {
        for (const session of sessions) session.destroy();
        for (const socket of sockets) socket.destroy();
      }, graceMs);
      // A kept-alive connection becomes idle only when its call is over.
      const idle = setInterval(() => h1?.closeIdleConnections(), 250);
      await closed;
      clearTimeout(timer);
      clearInterval(idle);
    },
  };
}

function secureContext({ cert, key, clientCa }: TlsOptions): SecureContextOptions {
  return { cert, key, minVersion: 'TLSv1.2', ...(clientCa && { ca: clientCa }) };
}

/**
 * Shows every stream to `handler`, and only those that it does not take to the listener by which Node makes a
 * request of each.
 */
function askFirst(server: http2.Http2Server, handler: StreamHandler): void {
  const [toRequest] = server.listeners('stream') as ((...args: unknown[]) => void)[];
  server.removeAllListeners('stream');
  server.on('stream', (stream, headers, flags, rawHeaders) => {
    if (!handler(stream, headers, rawHeaders)) toRequest?.call(server, stream, headers, flags, rawHeaders);
  });
}

/** Pings an HTTP/2 connection, so that one whose other end is gone is let go of. */
function keepAlive(session: http2.ServerHttp2Session): () => void {
  let answered = true;
  const timer = setInterval(() => {
    if (!answered) return session.destroy();
    answered = false;
    session.ping(() => (answered = true));
  }, KEEP_ALIVE_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** A request that cannot even be understood, such as one without a host, ends that request alone. */
function guard(handler: RequestHandler, times: TimeLimits | undefined): RequestHandler {
  return (request, response) => {
    if (request instanceof http.IncomingMessage) {
      lingerIfUnread(request, response as http.ServerResponse);
      if (times) limitRequest(request, response as http.ServerResponse, times);
    }
    try {
      handler(request, response);
    } catch {
      if (!response.headersSent) response.writeHead(400);
      response.end();
    }
  };
}
