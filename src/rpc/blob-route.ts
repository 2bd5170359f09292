import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { Logger } from 'pino';
import parseRange from 'range-parser';
import { isAssetError } from '../errors.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { SIGNED_PATH, type PartGrant, type ReadGrant, type SignedUrls } from '../storage/signed-url.ts';
import type { RequestHandler } from './listener.ts';

/**
 * Headers that keep a file from acting in the reader's session: no guessing of types, and no code, frames
 * or requests of its own. Other pages may show it, since the URL itself is the permission.
 */
const SAFE_HEADERS = {
  'x-content-type-options': 'nosniff',
  'content-security-policy':
    "default-src 'none'; img-src 'self'; media-src 'self'; object-src 'self'; style-src 'unsafe-inline'",
  'cross-origin-resource-policy': 'cross-origin',
  'access-control-allow-origin': '*',
  'access-control-expose-headers': 'content-disposition, content-range, etag',
  'referrer-policy': 'no-referrer',
};

/** What a browser asks for before a page of another origin may send a part. */
const PREFLIGHT_HEADERS = {
  'access-control-allow-methods': 'GET, HEAD, PUT',
  'access-control-allow-headers': '*',
  'access-control-max-age': 7200,
};

/**
 * Serves the signed URLs of the filesystem store: GET and HEAD with one byte range, ETag and
 * conditions (RFC 9110), and PUT for one part of a multipart blob. A URL that was tampered with or has expired gets 403, whether its blob exists or not.
 */
export function blobRoute(store: BlobStore, urls: SignedUrls, log: Logger): RequestHandler {
  return (request, response) => {
    // Both kinds of request and response share what is used here.
    void serve(store, urls, request as IncomingMessage, response as unknown as ServerResponse).catch(
      (error: unknown) => {
        log.warn({ err: error }, 'a signed URL could not be served');
        const res = response as unknown as ServerResponse;
        if (res.headersSent) res.destroy();
        else end(res, 503, { 'retry-after': '1' });
      },
    );
  };
}

async function serve(
  store: BlobStore,
  urls: SignedUrls,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  // An RPC that does not exist comes here too, and 404 is what tells its caller so.
  if (!request.url?.includes(SIGNED_PATH)) return end(response, 404);
  const { method = '' } = request;
  if (method === 'OPTIONS') return end(response, 204, PREFLIGHT_HEADERS);
  const kind = KINDS.get(method);
  if (!kind) return end(response, 405, { allow: 'GET, HEAD, PUT, OPTIONS' });
  const result = urls.verify(request.url, new Date());
  // A URL is for one kind of use, as with an S3, where the method is signed.
  if (result.status !== 'valid' || result.grant.kind !== kind) return end(response, 403);
  const { grant } = result;
  if (grant.kind === 'part') await takePart(store, grant, request, response);
  else await serveBlob(store, grant, request, response);
}

const KINDS = new Map([
  ['GET', 'read'],
  ['HEAD', 'read'],
  ['PUT', 'part'],
]);

/** Stores the body of a PUT as one part; it is read no faster than the store takes it. */
async function takePart(
  store: BlobStore,
  { key, multipartId, partNumber, sizeBytes }: PartGrant,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const said = request.headers['content-length'];
  if (said !== undefined && Number(said) !== sizeBytes) {
    return end(response, Number(said) > sizeBytes ? 413 : 400);
  }
  // The connection is still needed for the answer when the store has seen enough.
  const chunks = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
  try {
    const part = await store.putPart(key, multipartId, partNumber, { sizeBytes, chunks });
    end(response, 200, { etag: `"${part.tag}"` });
  } catch (error) {
    // A sender that goes away in the middle is no fault, and nobody is left to be told.
    if (request.destroyed && !request.complete) return;
    if (isAssetError(error, 'SIZE_MISMATCH')) return end(response, 400);
    if (isAssetError(error, 'UPLOAD_EXPIRED')) return end(response, 404);
    throw error;
  }
}

async function serveBlob(
  store: BlobStore,
  grant: ReadGrant,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const stat = await store.stat(grant.key);
  if (stat === undefined) return end(response, 404);

  const etag = `"${createHash('sha256').update(grant.key).digest('base64url').slice(0, 22)}"`;
  const headers = {
    ...SAFE_HEADERS,
    'content-type': grant.contentType,
    'content-disposition': grant.contentDisposition,
    'cache-control': grant.cacheControl,
    'accept-ranges': 'bytes',
    etag,
  };
  if (matches(request.headers['if-none-match'], etag)) return end(response, 304, headers);

  const range = requestedRange(request, etag, stat.sizeBytes);
  if (range === 'unsatisfiable') {
    return end(response, 416, { ...headers, 'content-range': `bytes */${stat.sizeBytes}` });
  }
  const length = range ? range.end - range.start + 1 : stat.sizeBytes;
  response.writeHead(range ? 206 : 200, {
    ...headers,
    'content-length': length,
    ...(range && { 'content-range': `bytes ${range.start}-${range.end}/${stat.sizeBytes}` }),
  });
  if (request.method === 'HEAD' || length === 0) {
    response.end();
    return;
  }
  const content = await store.read(grant.key, { offset: range?.start ?? 0, length });
  await pipeline(content, response).catch((error: NodeJS.ErrnoException) => {
    // A reader that goes away in the middle is no fault.
    if (error.code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
  });
}

/** The one range that is asked for; several at once are answered with the whole, as RFC 9110 allows. */
function requestedRange(request: IncomingMessage, etag: string, sizeBytes: number) {
  const header = request.headers.range;
  const condition = request.headers['if-range'];
  if (header === undefined || (condition !== undefined && condition !== etag)) return undefined;
  const ranges = parseRange(sizeBytes, header);
  if (ranges === -1) return 'unsatisfiable';
  return ranges !== -2 && ranges.type === 'bytes' && ranges.length === 1 ? ranges[0] : undefined;
}

function matches(header: string | undefined, etag: string): boolean {
  return header?.split(',').some((one) => ['*', etag, `W/${etag}`].includes(one.trim())) ?? false;
}

function end(response: ServerResponse, status: number, headers: Record<string, string | number> = {}): void {
  response.writeHead(status, { ...SAFE_HEADERS, ...headers });
  response.end();
}
