import http from 'node:http';
import type http2 from 'node:http2';
import type { connectNodeAdapter } from '@connectrpc/connect-node';
import type { ConnectionLifetimes } from './connection-lifetime.ts';
import { lingerIfUnread } from './lingering-close.ts';
import { limitRequest, type TimeLimits } from './time-limits.ts';

/** Answers an HTTP/1.1 or HTTP/2 request. */
export type RequestHandler = ReturnType<typeof connectNodeAdapter>;

/**
 * Answers a plain HTTP request. Never rejects; resolves with the fault because of which there is no whole response, and
 * with undefined if there is none.
 */
export type Route = (...exchange: Parameters<RequestHandler>) => Promise<unknown>;

/**
 * Takes an HTTP/2 request.
 *
 * @returns false, without having touched the stream, if it does not serve this request
 */
export type StreamHandler = (
  stream: http2.ServerHttp2Stream,
  headers: http2.IncomingHttpHeaders,
  rawHeaders: string[],
) => boolean;

/**
 * Offers every stream to `handler`; those that it does not take go to Node.js's listener, which makes requests of
 * them.
 */
export function askFirst(server: http2.Http2Server, handler: StreamHandler): void {
  const [toRequest] = server.listeners('stream') as ((...args: unknown[]) => void)[];
  server.removeAllListeners('stream');
  server.on('stream', (stream, headers, flags, rawHeaders) => {
    if (!handler(stream, headers, rawHeaders)) toRequest?.call(server, stream, headers, flags, rawHeaders);
  });
}

/** Passes requests on within the limits of their connection. A malformed one, for example without a host, fails alone. */
export function guard(
  handler: RequestHandler,
  lifetimes: ConnectionLifetimes,
  times: TimeLimits | undefined,
): RequestHandler {
  return (request, response) => {
    if (request instanceof http.IncomingMessage) {
      // Registers the connection.
      lifetimes.isLast(request);
      lingerIfUnread(request, response as http.ServerResponse, () => lifetimes.isLast(request));
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
