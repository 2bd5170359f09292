import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Time in which a caller whose request was not read to its end gets to know the answer. */
const LINGER_MS = 5_000;

/**
 * Over HTTP/1.1 what is left of a request stands before the next one. Where a handler gave a request up nobody reads
 * the rest, and the connection would stand still: the answer is made the last one of it.
 */
export function lingerIfUnread(request: IncomingMessage, response: ServerResponse): void {
  // A request that was given up no longer knows its connection.
  const { socket } = request;
  // Else Connect reads what is left of a body before it answers, for as long as its sender likes.
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
 * Ends a connection and throws away for a while what still comes: bytes that arrive at a closed socket would take the
 * answer from a caller who reads it only after having sent all.
 */
function linger(socket: Socket): void {
  socket.end();
  socket.removeAllListeners('data').on('data', () => undefined);
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(timer));
}
