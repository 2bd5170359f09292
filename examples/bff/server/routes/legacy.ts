import { legacyFileHandler } from '@asset-service/bff';
import type { FastifyInstance } from 'fastify';
import type { Assets } from '../assets.ts';

/** Where the old back end served files of the old bucket. */
const PREFIX = '/storage';

/**
 * Old addresses go on working: the service finds the file of a path of the old bucket, and the person's own permission
 * decides. Take the route away when `asset-service legacy status` says that nobody asks any more.
 */
export function addLegacyRoute(app: FastifyInstance, assets: Assets): void {
  app.get(`${PREFIX}/*`, async (request, reply) => {
    const onError = (error: unknown) => request.log.error({ err: error }, 'old address failed');
    const handler = legacyFileHandler(assets.of(request), { prefix: PREFIX, onError });
    reply.hijack();
    // A hijacked response has only the headers that are written here.
    reply.raw.setHeader('x-content-type-options', 'nosniff');
    reply.raw.setHeader('vary', 'cookie');
    await handler(request.raw, reply.raw);
  });
}
