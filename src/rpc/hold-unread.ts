import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import type { Readable } from 'node:stream';
import type { InboundBudget } from './inbound-budget.ts';

/**
 * Counts the received but unread bytes of a request until it is released. Over HTTP/2 Node.js buffers what a window
 * allows while nobody reads; over HTTP/1.1 it stops reading the connection.
 *
 * @param refuse - called once if there are too many bytes
 */
export function holdUnread(
  request: IncomingMessage | Http2ServerRequest,
  budget: InboundBudget,
  refuse: (reason: Error) => void,
): { release(): void } {
  const isHttp2 = 'stream' in request;
  const source: Readable = isHttp2 ? request.stream : request;
  const hold = budget.open([isHttp2 ? request.stream.session?.socket : request.socket]);
  let isOver = false;
  const release = () => {
    isOver = true;
    hold.set(0);
  };
  const count = () => {
    if (isOver) return;
    try {
      hold.set(source.readableLength);
    } catch (error) {
      isOver = true;
      refuse(error as Error);
    }
  };
  // There is no event for bytes that arrive while a stream is paused.
  const push = source.push.bind(source);
  source.push = (...args) => {
    const hasRoom = push(...args);
    count();
    return hasRoom;
  };
  const read = source._read.bind(source);
  source._read = (size) => {
    count();
    read(size);
  };
  count();
  return { release };
}
