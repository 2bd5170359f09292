import type { TokenSource } from '@asset-service/bff';
import type { FastifyInstance } from 'fastify';
import type { SessionData } from '../session.ts';

/** A way to sign in: it adds its routes, and gets the access tokens for calls of the service. */
export interface SignIn {
  /** Keys for cookies and links if none are set; undefined if they must be. */
  readonly fallbackKey?: Buffer | undefined;
  /** Token of the BFF's own account. */
  readonly serviceToken: TokenSource;
  /** Access tokens of the person of a session, renewed as long as the sign-in lasts. */
  userToken(session: SessionData): TokenSource;
  /** A newer refresh token than that of the session, if the issuer gave one. */
  renewedRefreshToken(session: SessionData): string | undefined;
  /** Adds `GET /sign-in` and what belongs to it. */
  addRoutes(app: FastifyInstance): void;
  /** Ends the sign-in; the page goes to the URL afterwards. */
  signOut(session: SessionData): Promise<string>;
}

/** A path of this origin to go back to after the sign-in; `/` for everything else. */
export function safeReturn(path: unknown): string {
  // Browsers treat a backslash like a slash, and two slashes begin another host.
  return typeof path === 'string' && /^\/(?![/\\])[^\\\s]*$/.test(path) ? path : '/';
}
