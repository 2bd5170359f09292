import type { IncomingMessage, ServerResponse } from 'node:http';
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';

/** How long a caller may keep the service waiting. */
export interface TimeLimits {
  /** Time in which the whole body of a request has to come, in milliseconds. */
  readonly bodyMs: number;
  /** Time in which a caller has to send or to read something, where the service waits for it, in milliseconds. */
  readonly idleMs: number;
  /** True for requests whose body may come in pieces for any length of time: only `idleMs` holds for them. */
  readonly isStream: (method: string | undefined, path: string | undefined) => boolean;
}

/** Cuts off a request of HTTP/1.1 whose caller takes too long. */
export function limitRequest(request: IncomingMessage, response: ServerResponse, limits: TimeLimits): void {
  // A request that was given up no longer knows its connection.
  const { socket } = request;
  const cut = () => socket.destroy();
  if (!limits.isStream(request.method, request.url)) {
    const timer = setTimeout(() => {
      if (!request.complete) cut();
    }, limits.bodyMs);
    timer.unref();
    const stop = () => clearTimeout(timer);
    request.once('end', stop).once('close', stop);
  }
  response.once('finish', () => {
    // What is left of a request that was answered early must not keep the connection.
    if (!request.complete) setTimeout(cut, limits.bodyMs).unref();
  });
  response.setTimeout(limits.idleMs, () => {
    if (isWaiting(request, response)) cut();
  });
}

/** Cuts off a stream of HTTP/2 whose caller takes too long. */
export function limitStream(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  limits: TimeLimits,
): void {
  const cut = () => stream.close(constants.NGHTTP2_CANCEL);
  if (!limits.isStream(headers[':method'], headers[':path'])) {
    const timer = setTimeout(() => {
      if (!stream.readableEnded) cut();
    }, limits.bodyMs);
    timer.unref();
    const stop = () => clearTimeout(timer);
    stream.once('end', stop).once('close', stop);
  }
  stream.once('finish', () => {
    if (!stream.readableEnded && !stream.destroyed) setTimeout(cut, limits.bodyMs).unref();
  });
  // Node looks at the bytes that have left the connection as well before it says so.
  stream.setTimeout(limits.idleMs, () => {
    if (isWaiting({ complete: stream.readableEnded, readableLength: stream.readableLength }, stream)) cut();
  });
}

/**
 * True if the service waits for the caller: for more of a body of which it has used all that came, or for room for an
 * answer that is not read. While the service itself is at work neither is so.
 */
function isWaiting(
  body: { readonly complete: boolean; readonly readableLength: number },
  answer: { readonly writableLength: number; readonly writableEnded: boolean },
): boolean {
  if (answer.writableLength > 0) return true;
  return !body.complete && body.readableLength === 0 && !answer.writableEnded;
}
