import {
  AssetClientError,
  type CallOptions,
  type FileUrl,
  type FileUrlOptions,
  httpStatus,
} from '@asset-service/client-core';
import type { IncomingMessage, ServerResponse } from 'node:http';

/** A client that gives URLs for paths of the old system; the BFF client is one. */
export interface LegacyUrls {
  urlForLegacyPath(path: string, options?: FileUrlOptions & CallOptions): Promise<FileUrl>;
}

/** How {@link legacyFileHandler} answers. */
export interface LegacyFileOptions extends FileUrlOptions {
  /**
   * Path that all old URLs begin with, such as `/files`, which is no part of the old path itself. A router that takes it away
   * before leaves nothing to say here.
   */
  readonly prefix?: string | undefined;
  /**
   * The client that asks for this request, such as `client.forUser(token)`: the person's own permission decides then.
   * The client of the handler where left out.
   */
  readonly clientFor?: ((request: IncomingMessage) => LegacyUrls | Promise<LegacyUrls>) | undefined;
  /** Is told of every failure but those of the request itself (400 to 499). */
  readonly onError?: ((error: unknown, request: IncomingMessage) => void) | undefined;
}

/** Seconds before a URL ends in which no cache may hand it out any more. */
const MARGIN_SECONDS = 30;

/**
 * A handler of GET and HEAD for Node.js and Express in place of the one that built URLs of the old bucket: it takes the same
 * paths, and redirects to a private URL that expires. `inline` is how the old bucket showed its files, so that is the default.
 * A failure is answered with the status of {@link httpStatus} and nothing else.
 */
export function legacyFileHandler(
  client: LegacyUrls,
  options: LegacyFileOptions = {},
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const { prefix = '', clientFor, onError, ...wanted } = options;
  return async (request, response) => {
    const path = pathBehind(prefix, request.url ?? '');
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return end(response, 405, { allow: 'GET, HEAD' });
    if (path === undefined) return end(response, 404);
    try {
      const asking = (await clientFor?.(request)) ?? client;
      const url = await asking.urlForLegacyPath(path, { disposition: 'inline', ...wanted });
      end(response, 302, { location: url.url, ...cacheHeaders(url) });
    } catch (error) {
      const status = httpStatus(error);
      if (status >= 500) onError?.(error, request);
      end(response, status, retryHeaders(error));
    }
  };
}

/** What stands behind the prefix; undefined if nothing does, or the path begins otherwise. */
function pathBehind(prefix: string, url: string): string | undefined {
  const start = prefix.replace(/\/+$/, '');
  const rest = url.slice(start.length);
  return url.startsWith(start) && /^\/[^?]/.test(rest) ? rest : undefined;
}

/** The redirect is for one person, and for as long as its URL works. */
function cacheHeaders({ expireTime }: FileUrl): Record<string, string> {
  const seconds = expireTime === undefined ? 0 : (expireTime.getTime() - Date.now()) / 1_000 - MARGIN_SECONDS;
  return { 'cache-control': seconds < 1 ? 'no-store' : `private, max-age=${Math.floor(seconds)}` };
}

function retryHeaders(error: unknown): Record<string, string> {
  const delayMs = error instanceof AssetClientError ? error.retryDelayMs : undefined;
  return delayMs === undefined ? {} : { 'retry-after': String(Math.ceil(delayMs / 1_000)) };
}

function end(response: ServerResponse, status: number, headers: Record<string, string> = {}): void {
  // The browser may have gone away meanwhile.
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, { 'cache-control': 'no-store', 'referrer-policy': 'no-referrer', ...headers });
  response.end();
}
