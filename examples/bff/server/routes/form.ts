import multipart from '@fastify/multipart';
import type { FastifyInstance } from 'fastify';
import { shownFile, type Assets, type ShownFile } from '../assets.ts';
import type { Config } from '../config.ts';
import { badRequest } from '../refusals.ts';
import { sessionOf } from '../session.ts';
import { assertUsage } from './files.ts';

/**
 * `POST /api/files`: a form with the field `usage` and then files. Each is passed on while it arrives. The owner is whoever
 * is signed in. If one fails, those before it are stored, and the response names the failure.
 */
export function addFormRoute(app: FastifyInstance, assets: Assets, { product }: Config): void {
  void app.register(async (forms) => {
    // No limit of sizes here, because it would cut files off: the usage policy of the service refuses them.
    await forms.register(multipart, {
      limits: { fileSize: Infinity, files: 20, fields: 10, fieldSize: 1024 },
    });
    forms.post('/api/files', async (request, reply) => {
      const { userId: owner } = sessionOf(request);
      if (!request.isMultipart())
        throw Object.assign(new Error('send a form, as multipart/form-data'), { statusCode: 415 });
      const mine = assets.of(request);
      const files: ShownFile[] = [];
      let usage: unknown;
      for await (const part of request.parts()) {
        if (part.type === 'field') {
          if (part.fieldname === 'usage') usage = part.value;
          continue;
        }
        try {
          assertUsage(usage, product.usages);
          // The parser waits for the end of every file, so a failed one is read to its end instead of destroyed.
          const bytes = part.file.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
          const contentType = part.mimetype === 'application/octet-stream' ? undefined : part.mimetype;
          files.push(
            shownFile(await mine.uploadFile(bytes, { name: part.filename, contentType, owner, usage })),
          );
        } catch (error) {
          part.file.resume();
          throw error;
        }
      }
      if (files.length === 0) throw badRequest('the form has no file');
      return reply.code(201).send({ files });
    });
  });
}
