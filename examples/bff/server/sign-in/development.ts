import { cachedToken, type TokenSource } from '@asset-service/bff';
import type { FastifyInstance } from 'fastify';
import { importJWK, SignJWT, type JWK } from 'jose';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { badRequest } from '../refusals.ts';
import { sendPage } from '../routes/pages.ts';
import { beginSession, type SessionData } from '../session.ts';
import { safeReturn, type SignIn } from './sign-in.ts';

/** Issuer of `asset-service dev-token`. */
const ISSUER = 'http://localhost/asset-service/development';
const AUDIENCE = 'asset-service';
const LIFETIME_SECONDS = 300;

/**
 * Sign-in for development: whoever comes says who they are. It signs tokens with the key of `asset-service dev-token`,
 * which the service accepts on the loopback only.
 *
 * @param keyFile - the file of public keys; the private key is beside it
 */
export async function developmentSignIn(keyFile: string): Promise<SignIn> {
  const text = await readFile(`${keyFile}.private`, 'utf8').catch((cause: unknown) => {
    throw new Error(
      `BFF_DEV_KEYS: ${keyFile}.private cannot be read. "asset-service dev-token --settings" makes the key`,
      { cause },
    );
  });
  const jwk = JSON.parse(text) as JWK & { kid: string; alg: string };
  const key = await importJWK(jwk);

  const issue = (claims: Record<string, unknown>) => async () => {
    const token = await new SignJWT(claims)
      .setProtectedHeader({ alg: jwk.alg, kid: jwk.kid, typ: 'at+jwt' })
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .setIssuedAt()
      .setExpirationTime(`${LIFETIME_SECONDS} s`)
      .sign(key);
    return { token, expiresInSeconds: LIFETIME_SECONDS };
  };

  const roles = 'asset:act-for-user asset:read';
  return {
    fallbackKey: createHash('sha256').update(text).digest(),
    // A client that is its own subject marks a service account.
    serviceToken: cachedToken(issue({ sub: 'bff', azp: 'bff', client_id: 'bff', scope: roles })),
    userToken: ({ userId }: SessionData): TokenSource =>
      cachedToken(issue({ sub: userId, scope: '', auth_time: Math.floor(Date.now() / 1000) })),
    renewedRefreshToken: () => undefined,
    addRoutes(app: FastifyInstance) {
      app.get('/sign-in', (_request, reply) => sendPage(reply, 'sign-in'));
      app.post('/sign-in', (request) => {
        const { user, returnTo } = (request.body ?? {}) as { user?: unknown; returnTo?: unknown };
        if (typeof user !== 'string' || !/^[\w.@-]{1,64}$/.test(user))
          throw badRequest('a name has 1 to 64 letters, digits and . _ @ -');
        beginSession(request, { userId: user, userName: user, refreshToken: undefined });
        return { returnTo: safeReturn(returnTo) };
      });
    },
    signOut: () => Promise.resolve('/sign-in'),
  };
}
