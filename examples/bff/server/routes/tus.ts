import { createTusServer, type TusMetadata } from '@asset-service/bff/tus';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Assets } from '../assets.ts';
import type { Config } from '../config.ts';
import { answerOf } from '../errors.ts';
import { languageOf } from '../language.ts';
import { sessionOf } from '../session.ts';
import { assertUsage } from './files.ts';

const PATH = '/uploads';

/**
 * `/uploads`: the tus protocol, for the page and every other tus client. An upload is a session of the service, so any
 * process of this BFF goes on with it. The owner is whoever is signed in; the browser says name, type and usage.
 */
export function addTusRoutes(app: FastifyInstance, assets: Assets, { product }: Config): void {
  /** The Fastify request of the web `Request` that the tus server sees. */
  const serving = new AsyncLocalStorage<FastifyRequest>();
  const tus = createTusServer({
    path: PATH,
    relativeLocation: true,
    caller() {
      const request = serving.getStore()!;
      return { client: assets.of(request), userId: sessionOf(request).userId };
    },
    describe({ name, filename, type, filetype, usage }: TusMetadata) {
      assertUsage(usage, product.usages);
      const contentType = type ?? filetype ?? '';
      return {
        name: name ?? filename ?? undefined,
        // Browsers send it for what they do not know.
        contentType: ['', 'application/octet-stream'].includes(contentType) ? undefined : contentType,
        owner: sessionOf(serving.getStore()!).userId,
        usage,
      };
    },
  });

  void app.register(async (uploads) => {
    // The tus server reads the bodies.
    uploads.removeAllContentTypeParsers();
    uploads.addContentTypeParser('*', (_request, _payload, done) => done(null));
    for (const url of [PATH, `${PATH}/*`]) {
      uploads.route({
        ...{ method: ['POST', 'HEAD', 'PATCH', 'DELETE'], url },
        async handler(request, reply) {
          sessionOf(request);
          reply.hijack();
          await serving
            .run(request, () => tus.handle(request.raw, reply.raw))
            .catch((error: unknown) => {
              request.log.error({ err: error }, 'upload failed');
              if (reply.raw.headersSent) return reply.raw.destroy();
              const { status, headers, body } = answerOf(error, languageOf(request), request.id);
              reply.raw.writeHead(status, { ...headers, 'content-type': 'application/json' });
              reply.raw.end(JSON.stringify(body));
            });
        },
      });
    }
  });
}
