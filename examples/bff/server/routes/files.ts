import type { FileChanges } from '@asset-service/bff';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { createHash } from 'node:crypto';
import { shownFile, type Assets } from '../assets.ts';
import type { Config } from '../config.ts';
import { badRequest } from '../refusals.ts';

interface ListQuery {
  usage?: string;
  owner?: string;
  contentType?: string;
  deleted?: 'true' | 'false';
  pageSize?: number;
  pageToken?: string;
}

const text = { type: 'string', maxLength: 255 } as const;
const LIST_QUERY = {
  type: 'object',
  additionalProperties: false,
  properties: {
    ...{ usage: text, owner: text, contentType: text, deleted: { enum: ['true', 'false'] } },
    pageSize: { type: 'integer', minimum: 1, maximum: 200 },
    pageToken: { type: 'string', maxLength: 4096 },
  },
};
const CHANGES = {
  type: 'object',
  additionalProperties: false,
  minProperties: 1,
  properties: { name: text, usage: text, attributes: { type: 'object', maxProperties: 50 } },
};

/** Lists, describes, deletes and restores files. */
export function addFileRoutes(app: FastifyInstance, assets: Assets, { product }: Config): void {
  app.get<{ Querystring: ListQuery }>(
    '/api/files',
    { schema: { querystring: LIST_QUERY } },
    async (request, reply) => {
      const { deleted, ...wanted } = request.query;
      const page = await assets.of(request).listFilesPage({ ...wanted, showDeleted: deleted === 'true' });
      return sendFresh(request, reply, {
        files: page.files.map(shownFile),
        nextPageToken: page.nextPageToken ?? null,
      });
    },
  );

  app.get<{ Params: { id: string } }>('/api/files/:id', async (request, reply) => {
    // The body has more than the record: a placeholder, once a variant was made. So its own hash is the tag.
    return sendFresh(request, reply, shownFile(await assets.of(request).getFile(request.params.id)));
  });

  app.patch<{ Params: { id: string }; Body: FileChanges }>(
    '/api/files/:id',
    { schema: { body: CHANGES } },
    async (request, reply) => {
      const { id } = request.params;
      const { name, usage, attributes } = request.body;
      // Owner and relations are never the browser's to say; neither is an attribute that the product does not offer.
      for (const attribute of Object.keys(attributes ?? {}))
        if (!product.attributes.includes(attribute))
          throw badRequest(`"${attribute}" is no attribute to edit`);
      if (usage !== undefined) assertUsage(usage, product.usages);
      const changes = {
        ...(name !== undefined && { name }),
        ...(usage !== undefined && { usage }),
        ...(attributes !== undefined && { attributes }),
      };
      const file = await assets.of(request).updateMetadata(id, changes, { etag: etagOf(request) });
      return sendFresh(request, reply, shownFile(file), file.etag);
    },
  );

  app.delete<{ Params: { id: string } }>('/api/files/:id', async (request) => {
    const etag = request.headers['if-match'] === undefined ? undefined : etagOf(request);
    return shownFile(await assets.of(request).deleteFile(request.params.id, { etag }));
  });

  app.post<{ Params: { id: string } }>('/api/files/:id/restore', async (request) =>
    shownFile(await assets.of(request).undeleteFile(request.params.id)),
  );
}

/**
 * Refuses a usage that the product does not offer.
 *
 * @throws AssetClientError USAGE_UNKNOWN
 */
export function assertUsage(usage: unknown, usages: Config['product']['usages']): asserts usage is string {
  if (!usages.some(({ name }) => name === usage))
    throw badRequest('choose one of the usages', 'USAGE_UNKNOWN');
}

/** A change is made to what the person saw, or not at all. */
function etagOf(request: FastifyRequest): string {
  const etag = /^"([^"]+)"$/.exec(request.headers['if-match'] ?? '')?.[1];
  if (etag === undefined)
    throw Object.assign(new Error('send the etag that you read as If-Match'), { statusCode: 428 });
  return etag;
}

/** Answers JSON for this person alone, and 304 if the browser has it already. */
function sendFresh(request: FastifyRequest, reply: FastifyReply, body: object, etag?: string): FastifyReply {
  const json = JSON.stringify(body);
  const tag = `"${etag ?? createHash('sha256').update(json).digest('base64url').slice(0, 22)}"`;
  reply.headers({ 'cache-control': 'private, no-cache', vary: 'cookie', etag: tag });
  const known = request.headers['if-none-match']?.split(',').map((one) => one.trim().replace(/^W\//, ''));
  if (request.method === 'GET' && known?.includes(tag)) return reply.code(304).send();
  return reply.type('application/json; charset=utf-8').send(json);
}
