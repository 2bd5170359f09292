import type { FastifyInstance } from 'fastify';
import { jwtVerify, SignJWT } from 'jose';
import type { Assets } from '../assets.ts';
import type { Config } from '../config.ts';
import { notFound } from '../refusals.ts';
import { deriveKey, sessionOf } from '../session.ts';

const DAY_SECONDS = 86_400;
const MAX_SECONDS = 30 * DAY_SECONDS;
/** Lifetime of the signed URL that an opened link leads to, in seconds. */
const URL_SECONDS = 60;

const BODY = {
  type: ['object', 'null'],
  additionalProperties: false,
  properties: { expiresInSeconds: { type: 'integer', minimum: 60, maximum: MAX_SECONDS } },
};

/**
 * Links for people without an account. A link is a signed token of this BFF, not the signed URL of the store: it may live
 * for weeks, and ends at once when the file is deleted or changes its owner. Only the owner of a file can make one.
 */
export function addShareRoutes(
  app: FastifyInstance,
  assets: Assets,
  config: Config,
  keys: readonly Buffer[],
): void {
  if (!config.sharing) return;
  const secrets = keys.map((key) => deriveKey(key, 'share'));

  app.post<{ Params: { id: string }; Body: { expiresInSeconds?: number } | null }>(
    '/api/files/:id/shares',
    { schema: { body: BODY } },
    async (request, reply) => {
      const { userId } = sessionOf(request);
      const file = await assets.of(request).getFile(request.params.id);
      // Others may read it by the usage policy, but it is not theirs to give away.
      if (file.owner !== userId || file.deleteTime !== undefined)
        throw notFound('only the owner can share a file');
      const seconds = request.body?.expiresInSeconds ?? 7 * DAY_SECONDS;
      const expireTime = new Date(Math.floor(Date.now() / 1000 + seconds) * 1000);
      const token = await new SignJWT({ file: file.id })
        .setProtectedHeader({ alg: 'HS256' })
        .setSubject(userId)
        .setExpirationTime(expireTime)
        .sign(secrets[0]!);
      const url = `${config.publicOrigin}/s/${token}`;
      return reply
        .code(201)
        .header('cache-control', 'no-store')
        .send({ url, expireTime: expireTime.toISOString() });
    },
  );

  app.get<{ Params: { token: string } }>('/s/:token', async (request, reply) => {
    const { file: id, sub } = await verify(request.params.token, secrets);
    const file = await assets.own.getFile(id);
    if (file.owner !== sub || file.deleteTime !== undefined) throw ended();
    const { url } = await assets.own.fileUrl(id, { ttlSeconds: URL_SECONDS, disposition: 'attachment' });
    return reply.headers({ 'cache-control': 'no-store', 'x-robots-tag': 'noindex' }).redirect(url, 302);
  });
}

async function verify(token: string, secrets: readonly Buffer[]): Promise<{ file: string; sub: string }> {
  for (const secret of secrets) {
    try {
      const { payload } = await jwtVerify(token, secret, {
        algorithms: ['HS256'],
        requiredClaims: ['exp', 'sub'],
      });
      return { file: String(payload['file']), sub: String(payload.sub) };
    } catch {
      // Signed with another key, changed, or over.
    }
  }
  throw ended();
}

const ended = () => notFound('this link does not exist or has ended', 'SHARE_ENDED');
