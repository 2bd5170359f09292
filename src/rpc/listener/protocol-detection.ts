import type http from 'node:http';
import type { Http2Server } from 'node:http2';
import type { Socket } from 'node:net';

/** First bytes of every HTTP/2 connection (RFC 9113, section 3.4); no HTTP/1.1 request starts with them. */
const HTTP2_PREFACE = 'PRI';

/**
 * Waits for the first bytes of a connection without TLS and passes it to the server of its protocol. Closes a
 * connection that sends none, or only a part, within `timeoutMs` milliseconds.
 */
export function handOver(
  socket: Socket,
  servers: { readonly http1: http.Server; readonly http2: Http2Server },
  timeoutMs: number,
): void {
  const timer = setTimeout(() => socket.destroy(), timeoutMs);
  socket.once('close', () => clearTimeout(timer));
  let first = Buffer.alloc(0);
  const look = () => {
    const more = socket.read() as Buffer | null;
    if (more === null) return socket.destroy();
    first = Buffer.concat([first, more]);
    const start = first.toString('latin1', 0, HTTP2_PREFACE.length);
    // A `P` may become a POST.
    if (start !== HTTP2_PREFACE && HTTP2_PREFACE.startsWith(start)) return void socket.once('readable', look);
    clearTimeout(timer);
    socket.unshift(first);
    (start === HTTP2_PREFACE ? servers.http2 : servers.http1).emit('connection', socket);
  };
  socket.once('readable', look);
}
