import type { FileUrl } from '@asset-service/bff';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { createHash } from 'node:crypto';
import type { Assets } from '../assets.ts';

/** Seconds before a URL ends in which no cache may hand it out any more. */
const MARGIN_SECONDS = 30;

interface ContentQuery {
  download?: '1';
  variant?: string;
}

const QUERY = {
  download: { const: '1' },
  variant: { type: 'string', pattern: '^[a-z][a-z0-9_-]{0,31}$' },
} as const;

/**
 * Sends the browser to the bytes. An address such as `/files/ID/holiday.jpg` can stand in a page for ever; the signed URL
 * behind it ends. Bytes never pass through the BFF.
 */
export function addContentRoutes(app: FastifyInstance, assets: Assets): void {
  const schema = {
    querystring: { type: 'object', additionalProperties: false, properties: QUERY },
  };
  for (const path of ['/files/:id', '/files/:id/:name']) {
    app.get<{ Params: { id: string }; Querystring: ContentQuery }>(
      path,
      { schema },
      async (request, reply) => {
        const { download, variant } = request.query;
        const disposition = download === '1' ? 'attachment' : 'inline';
        // A signed URL cannot negotiate: what the browser accepts decides here.
        const rendition = variant === undefined ? {} : { variant, accept: request.headers.accept ?? '' };
        const url = await assets.of(request).fileUrl(request.params.id, { disposition, ...rendition });
        return redirectToBytes(reply, url, variant === undefined ? 'cookie' : 'cookie, accept');
      },
    );
  }
}

/**
 * A redirect that this browser may keep for as long as its URL works. Within one time window the service signs the same
 * URL, so the bytes behind it stay in the browser's cache too.
 */
function redirectToBytes(reply: FastifyReply, { url, expireTime }: FileUrl, vary: string): FastifyReply {
  const left = expireTime === undefined ? 0 : (expireTime.getTime() - Date.now()) / 1000 - MARGIN_SECONDS;
  return reply
    .headers({
      'cache-control': left < 1 ? 'no-store' : `private, max-age=${Math.floor(left)}`,
      // Another person's browser profile, or the same after another sign-in, gets its own answer.
      vary,
      // Names the URL: unchanged as long as the same one is signed.
      etag: `"${createHash('sha256').update(url).digest('base64url').slice(0, 22)}"`,
    })
    .redirect(url, 302);
}
