import type { FileUrl } from '@asset-service/bff';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { createHash } from 'node:crypto';
import type { Assets } from '../assets.ts';

/** Seconds before a URL ends in which no cache may hand it out any more. */
const MARGIN_SECONDS = 30;

interface ContentQuery {
  download?: '1';
}

/**
 * Sends the browser to the bytes. An address such as `/files/ID/holiday.jpg` can stand in a page for ever; the signed URL
 * behind it ends. Bytes never pass through the BFF.
 */
export function addContentRoutes(app: FastifyInstance, assets: Assets): void {
  const schema = {
    querystring: { type: 'object', additionalProperties: false, properties: { download: { const: '1' } } },
  };
  for (const path of ['/files/:id', '/files/:id/:name']) {
    app.get<{ Params: { id: string }; Querystring: ContentQuery }>(
      path,
      { schema },
      async (request, reply) => {
        const disposition = request.query.download === '1' ? 'attachment' : 'inline';
        return redirectToBytes(reply, await assets.of(request).fileUrl(request.params.id, { disposition }));
      },
    );
  }
}

/**
 * A redirect that this browser may keep for as long as its URL works. Within one time window the service signs the same
 * URL, so the bytes behind it stay in the browser's cache too.
 */
function redirectToBytes(reply: FastifyReply, { url, expireTime }: FileUrl): FastifyReply {
  const left = expireTime === undefined ? 0 : (expireTime.getTime() - Date.now()) / 1000 - MARGIN_SECONDS;
  return reply
    .headers({
      'cache-control': left < 1 ? 'no-store' : `private, max-age=${Math.floor(left)}`,
      // Another person's browser profile, or the same after another sign-in, gets its own answer.
      vary: 'cookie',
      // Names the URL: unchanged as long as the same one is signed.
      etag: `"${createHash('sha256').update(url).digest('base64url').slice(0, 22)}"`,
    })
    .redirect(url, 302);
}
