import type { IncomingMessage, ServerResponse } from 'node:http';
import { constants, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';

/**
 * How long a caller whose request was not read to its end gets to read the response, in milliseconds: over HTTP/1.1,
 * where its connection ends, and over HTTP/2.
 */
const LINGER_MS = 5_000;
const STREAM_LINGER_MS = 1_000;

/**
 * Over HTTP/1.1 the rest of a request comes before the next one. If a handler abandons a request, nobody reads the
 * rest and the connection would hang. So the response becomes the connection's last one.
 *
 * @param isLast - whether the response is the connection's last one for another reason, when its headers are sent
 */
export function lingerIfUnread(
  request: IncomingMessage,
  response: ServerResponse,
  isLast: () => boolean,
): void {
  // An abandoned request no longer has its connection.
  const { socket } = request;
  // Otherwise Connect reads the rest of a body before it responds, as long as its sender likes.
  let keepAlive = response.shouldKeepAlive;
  Object.defineProperty(response, 'shouldKeepAlive', {
    get: () => keepAlive && request.complete && !isLast(),
    set: (value: boolean) => (keepAlive = value),
  });
  const writeHead = response.writeHead.bind(response) as (...args: unknown[]) => ServerResponse;
  response.writeHead = (...args: unknown[]) => {
    if (!request.complete) {
      response.setHeader('connection', 'close');
      socket.destroySoon = () => linger(socket);
    }
    return writeHead(...args);
  };
}

/**
 * Ends a connection, but discards incoming bytes for a while: bytes that arrive at a closed socket would destroy
 * the response for a caller that reads it only after sending everything.
 */
function linger(socket: Socket): void {
  socket.end();
  socket.removeAllListeners('data').on('data', () => undefined);
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(timer));
}

/**
 * Discards the rest of an HTTP/2 request after its response, and soon tells a caller that still sends to stop (RFC
 * 9113, section 8.1). Not at once, because clients lose a response that is followed so closely by the end of its
 * stream. Without this the stream would stay open, and a stop of the service would wait for it.
 */
export function discardRest(stream: ServerHttp2Stream): void {
  stream.removeAllListeners('data').resume();
  const timer = setTimeout(() => stream.close(constants.NGHTTP2_NO_ERROR), STREAM_LINGER_MS);
  stream.once('close', () => clearTimeout(timer));
}
