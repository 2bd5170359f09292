import fastifyStatic from '@fastify/static';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config.ts';

/** Serves the page that `node build.ts` made. */
export async function addPages(app: FastifyInstance, { pageDir }: Config): Promise<void> {
  if (!existsSync(join(pageDir, 'index.html')))
    app.log.warn(`there is no page in ${pageDir}: run "node build.ts" for one`);
  await app.register(fastifyStatic, {
    root: pageDir,
    prefix: '/page/',
    wildcard: true,
    // The names have hashes of the contents.
    maxAge: '365d',
    immutable: true,
  });
  for (const [path, name] of [
    ['/', 'index'],
    ['/signed-in', 'signed-in'],
  ] as const)
    app.get(path, (_request, reply) => sendPage(reply, name));
}

/** Sends a document, which names the scripts and styles of the latest build: browsers ask for it each time. */
export function sendPage(reply: FastifyReply, name: string): FastifyReply {
  return reply.sendFile(`${name}.html`, { maxAge: 0, immutable: false, cacheControl: true });
}
