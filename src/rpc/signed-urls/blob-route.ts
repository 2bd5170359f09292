import { AsyncResource } from 'node:async_hooks';
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { Logger } from 'pino';
import parseRange from 'range-parser';
import type { BlobHeaders } from '../../storage/blob.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import { SIGNED_PATH, type ReadGrant, type SignedUrls } from '../../storage/signed-url.ts';
import type { Route } from '../listener/dispatch.ts';
import { counted, type ContentObserver } from './counted.ts';
import { takePart, type PartBounds } from './part-route.ts';

const POLICY =
  "default-src 'none'; img-src 'self'; media-src 'self'; object-src 'self'; style-src 'unsafe-inline'";

/**
 * Headers that prevent a file from acting in the reader's session: no type sniffing, no code, frames or requests, a
 * separate origin, and no referrer with its URL.
 */
const SAFE_HEADERS = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': `${POLICY}; sandbox`,
  'referrer-policy': 'no-referrer',
};

/** The viewers that browsers have for PDF do not work in a sandbox; they keep scripts to themselves. */
const PDF_HEADERS = { ...SAFE_HEADERS, 'content-security-policy': POLICY };

/** What a browser asks for before a page of another origin may send a part. */
const PREFLIGHT_HEADERS = {
  'access-control-allow-methods': 'GET, HEAD, PUT',
  'access-control-allow-headers': '*',
  'access-control-max-age': 7200,
};

/** What the route of signed URLs works with. */
export interface BlobRouteOptions {
  readonly store: BlobStore;
  readonly urls: SignedUrls;
  readonly log: Logger;
  /** Origins whose pages may read what a URL gives, such as `https://app.example`; `*` stands for every one. */
  readonly origins: readonly string[];
  readonly parts: PartBounds;
  /** Is told of the bytes of files that callers send and get. */
  readonly content?: ContentObserver | undefined;
}

/**
 * Serves the signed URLs of the filesystem store: GET and HEAD with one byte range, ETag and
 * conditions (RFC 9110), and PUT for one part of a multipart blob. A URL that was tampered with or has expired gets 403, whether its blob exists or not.
 * Each use of a grant is a line in the log.
 */
export function blobRoute(options: BlobRouteOptions): Route {
  return async (request, response) => {
    // Both kinds of request and response share what is used here.
    const res = response as unknown as ServerResponse;
    try {
      await serve(options, request as IncomingMessage, res);
    } catch (error) {
      options.log.warn({ err: error }, 'a signed URL could not be served');
      if (res.headersSent) res.destroy();
      else end(res, 503, { 'retry-after': '1' });
      return error;
    }
  };
}

async function serve(
  { store, urls, log, origins, parts, content }: BlobRouteOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  allowOrigins(origins, request, response);
  // Requests for unknown RPCs arrive here too, and expect 404.
  if (!request.url?.includes(SIGNED_PATH)) return end(response, 404);
  const { method = '' } = request;
  if (method === 'OPTIONS') return end(response, 204, PREFLIGHT_HEADERS);
  const kind = KINDS.get(method);
  if (!kind) return end(response, 405, { allow: 'GET, HEAD, PUT, OPTIONS' });
  const result = urls.verify(request.url, new Date());
  // A URL is for one method, as with S3, where the method is signed.
  if (result.status !== 'valid' || result.grant.kind !== kind) return end(response, 403);
  const { grant } = result;
  // In the context of the request, so that the line has its trace.
  const logUse = AsyncResource.bind(() => {
    log.info({ grant_id: grant.id, method, status: response.statusCode }, 'blob');
  });
  response.once('close', logUse);
  if (grant.kind === 'read') return serveBlob(store, grant, request, response, content);
  const answer = await takePart(store, grant, request, response, parts, content);
  if (answer === undefined) return;
  const { status, etag, retry } = answer;
  end(response, status, { ...(etag && { etag }), ...(retry && { 'retry-after': 1 }) });
  // Discards the rest of a refused part until time limits end it.
  if (status !== 200) request.resume();
}

const KINDS = new Map([
  ['GET', 'read'],
  ['HEAD', 'read'],
  ['PUT', 'part'],
]);

async function serveBlob(
  store: BlobStore,
  grant: ReadGrant,
  request: IncomingMessage,
  response: ServerResponse,
  observer: ContentObserver | undefined,
): Promise<void> {
  const stat = await store.stat(grant.key);
  if (stat === undefined) return end(response, 404);

  const etag = `"${createHash('sha256').update(grant.key).digest('base64url').slice(0, 22)}"`;
  const headers = {
    ...(grant.contentType === 'application/pdf' ? PDF_HEADERS : SAFE_HEADERS),
    'content-type': grant.contentType,
    'content-disposition': grant.contentDisposition,
    'cache-control': grant.cacheControl,
    'accept-ranges': 'bytes',
    etag,
  };
  const { 'if-match': wanted, 'if-none-match': known } = request.headers;
  if (wanted !== undefined && !names(wanted, ['*', etag])) return end(response, 412, headers);
  if (known !== undefined && names(known, ['*', etag, `W/${etag}`])) return end(response, 304, headers);

  const range = requestedRange(request, etag, stat.sizeBytes);
  if (range === 'unsatisfiable') {
    return end(response, 416, { ...headers, 'content-range': `bytes */${stat.sizeBytes}` });
  }
  const length = range ? range.end - range.start + 1 : stat.sizeBytes;
  response.writeHead(range ? 206 : 200, {
    ...keptHeaders(await store.headersOf(grant.key)),
    ...headers,
    'content-length': length,
    ...(range && { 'content-range': `bytes ${range.start}-${range.end}/${stat.sizeBytes}` }),
  });
  if (request.method === 'HEAD' || length === 0) {
    response.end();
    return;
  }
  const content = await store.read(grant.key, { offset: range?.start ?? 0, length });
  const sent = observer ? counted(content, (bytes) => observer.sent(bytes)) : content;
  await pipeline(sent, response).catch((error: NodeJS.ErrnoException) => {
    // A reader that disconnects is no error.
    if (error.code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
  });
}

/** The headers of the blob itself as an S3 gives them; those of the URL are used instead of their like. */
function keptHeaders({
  contentEncoding,
  contentLanguage,
  metadata = {},
}: BlobHeaders): Record<string, string> {
  const own = { 'content-encoding': contentEncoding, 'content-language': contentLanguage };
  const users = Object.entries(metadata).map(([name, value]) => [`x-amz-meta-${name}`, value] as const);
  const all = [...Object.entries(own), ...users];
  return Object.fromEntries(
    all.flatMap(([name, value]) => (value !== undefined && isHeader(name, value) ? [[name, value]] : [])),
  );
}

function isHeader(name: string, value: string): boolean {
  return /^[a-z0-9!#$%&'*+.^_`|~-]+$/i.test(name) && /^[ -~]*$/.test(value);
}

/**
 * Allows pages of other origins to read the response. By default all may, because the URL itself is the permission;
 * if origins are named, pages of other sites may not even embed it.
 */
function allowOrigins(origins: readonly string[], request: IncomingMessage, response: ServerResponse): void {
  const { origin = '' } = request.headers;
  const all = origins.includes('*');
  response.setHeader('cross-origin-resource-policy', all ? 'cross-origin' : 'same-site');
  if (!all) response.setHeader('vary', 'origin');
  if (!all && !origins.includes(origin)) return;
  response.setHeader('access-control-allow-origin', all ? '*' : origin);
  response.setHeader('access-control-expose-headers', 'content-disposition, content-range, etag');
}

/** The requested range; several ranges get the whole file, as RFC 9110 permits. */
function requestedRange(request: IncomingMessage, etag: string, sizeBytes: number) {
  const header = request.headers.range;
  const condition = request.headers['if-range'];
  if (header === undefined || (condition !== undefined && condition !== etag)) return undefined;
  // The parser takes the last 100 bytes of 10 for unsatisfiable; they are all 10 (RFC 9110, section 14.1.2).
  const clamped = header.replaceAll(
    /([=,]\s*-)(\d+)/g,
    (_all, before: string, count: string) => `${before}${Math.min(Number(count), sizeBytes)}`,
  );
  const ranges = parseRange(sizeBytes, clamped);
  if (ranges === -1) return 'unsatisfiable';
  const isOne = ranges !== -2 && ranges.type.toLowerCase() === 'bytes' && ranges.length === 1;
  return isOne ? ranges[0] : undefined;
}

/** True if a list of entity tags has one of `tags`. */
function names(list: string, tags: readonly string[]): boolean {
  return list.split(',').some((one) => tags.includes(one.trim()));
}

function end(response: ServerResponse, status: number, headers: Record<string, string | number> = {}): void {
  response.writeHead(status, { ...SAFE_HEADERS, ...headers });
  response.end();
}
