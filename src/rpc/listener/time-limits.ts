import type { IncomingMessage, ServerResponse } from 'node:http';
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { discardRest } from './lingering-close.ts';

/** Time limits for callers. */
export interface TimeLimits {
  /** Maximum time to receive the body of a request, in milliseconds. */
  readonly bodyMs: number;
  /** Maximum time in which a caller neither sends nor reads while the service waits for it, in milliseconds. */
  readonly idleMs: number;
  /** True for requests with a streamed body, to which only `idleMs` applies. */
  readonly isStream: (method: string | undefined, path: string | undefined) => boolean;
}

/** Ends an HTTP/1.1 request whose caller is too slow. */
export function limitRequest(request: IncomingMessage, response: ServerResponse, limits: TimeLimits): void {
  // An abandoned request no longer has its connection.
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
    // The rest of a request that was answered early must not keep the connection open.
    if (!request.complete) setTimeout(cut, limits.bodyMs).unref();
  });
  response.setTimeout(limits.idleMs, () => {
    if (isWaiting(request, response)) cut();
  });
}

/** Ends an HTTP/2 stream whose caller is too slow. */
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
    if (!stream.readableEnded && !stream.destroyed) discardRest(stream);
  });
  // Node.js also checks sent bytes before it reports a timeout.
  stream.setTimeout(limits.idleMs, () => {
    if (isWaiting({ complete: stream.readableEnded, readableLength: stream.readableLength }, stream)) cut();
  });
}

/**
 * True if the service waits for the caller: for more of a body of which all received bytes were used, or for room
 * for a response that is not read. False while the service itself is working.
 */
function isWaiting(
  body: { readonly complete: boolean; readonly readableLength: number },
  answer: { readonly writableLength: number; readonly writableEnded: boolean },
): boolean {
  if (answer.writableLength > 0) return true;
  return !body.complete && body.readableLength === 0 && !answer.writableEnded;
}
