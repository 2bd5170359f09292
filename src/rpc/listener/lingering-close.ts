import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** How long a caller whose request was not read to its end gets to read the response, in milliseconds. */
const LINGER_MS = 5_000;

/**
 * Over HTTP/1.1 the rest of a request comes before the next one. If a handler abandons a request, nobody reads the
 * rest and the connection would hang. So the response becomes the connection's last one.
 */
export function lingerIfUnread(request: IncomingMessage, response: ServerResponse): void {
  // An abandoned request no longer has its connection.
  const { socket } = request;
  // Otherwise Connect reads the rest of a body before it responds, as long as its sender likes.
  let keepAlive = response.shouldKeepAlive;
  Object.defineProperty(response, 'shouldKeepAlive', {
    get: () => keepAlive && request.complete,
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
