import secureSession from '@fastify/secure-session';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import type { Config } from './config.ts';
import { signInRequired } from './refusals.ts';

/** What the session cookie holds, encrypted. Access tokens are not in it: it must fit into 4 KiB. */
export interface SessionData {
  /** Names this sign-in in the memory of the processes. */
  readonly id: string;
  /** Id of the person: the `owner` of their files. */
  readonly userId: string;
  readonly userName: string;
  readonly csrf: string;
  /** With it every process gets access tokens of this person. Undefined in development. */
  readonly refreshToken: string | undefined;
}

/** What a running sign-in needs when the browser comes back from the issuer. */
export interface FlowData {
  readonly state: string;
  readonly nonce: string;
  readonly codeVerifier: string;
  readonly returnTo: string;
}

declare module '@fastify/secure-session' {
  interface SessionData {
    id: string;
    userId: string;
    userName: string;
    csrf: string;
    refreshToken: string | undefined;
    flow: FlowData | undefined;
  }
}

/** A key for one purpose, made of a session key. */
export function deriveKey(secret: Buffer, purpose: string): Buffer {
  return createHmac('sha256', secret).update(`asset-service-bff ${purpose}`).digest();
}

/**
 * Keeps the session in an encrypted cookie, so that every process behind the same address knows it. `SameSite=Lax` lets
 * the redirect back from the issuer bring it along.
 */
export async function keepSessions(
  app: FastifyInstance,
  config: Config,
  keys: readonly Buffer[],
): Promise<void> {
  const isHttps = config.publicOrigin.startsWith('https:');
  await app.register(secureSession, {
    sessionName: 'session',
    // A name with this prefix can be set only over https, for this host alone.
    cookieName: isHttps ? '__Host-session' : 'session',
    key: keys.map((key) => deriveKey(key, 'cookie')),
    expiry: config.sessionSeconds,
    cookie: { path: '/', httpOnly: true, sameSite: 'lax', secure: isHttps, maxAge: config.sessionSeconds },
  });
}

/** Begins the session of a person; one that was there before is gone, and with it its CSRF token. */
export function beginSession(
  request: FastifyRequest,
  person: Pick<SessionData, 'userId' | 'userName' | 'refreshToken'>,
): void {
  const { session } = request;
  session.regenerate();
  session.set('id', randomUUID());
  session.set('userId', person.userId);
  session.set('userName', person.userName);
  session.set('refreshToken', person.refreshToken);
  session.set('csrf', randomBytes(24).toString('base64url'));
}

/**
 * The session of whoever sent the request.
 *
 * @throws AssetClientError SIGN_IN_REQUIRED
 */
export function sessionOf(request: FastifyRequest): SessionData {
  const session = findSession(request);
  if (session === undefined) throw signInRequired();
  return session;
}

/** The session of whoever sent the request; undefined if nobody is signed in. */
export function findSession({ session }: FastifyRequest): SessionData | undefined {
  const [id, userId, csrf] = [session.get('id'), session.get('userId'), session.get('csrf')];
  if (id === undefined || userId === undefined || csrf === undefined) return undefined;
  return {
    ...{ id, userId, csrf },
    userName: session.get('userName') ?? userId,
    refreshToken: session.get('refreshToken'),
  };
}
