import { AssetClientError, cachedToken, type TokenSource } from '@asset-service/bff';
import type { FastifyInstance } from 'fastify';
import { LRUCache } from 'lru-cache';
import * as oidc from 'openid-client';
import type { Config, SignInConfig } from '../config.ts';
import { issuerUnavailable, signInRequired } from '../refusals.ts';
import { beginSession, type SessionData } from '../session.ts';
import { safeReturn, type SignIn } from './sign-in.ts';

/** Sign-ins whose access tokens a process keeps; the others are refreshed again when they come back. */
const KEPT = 10_000;

const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';

/** Where the page goes after a sign-in that did not work. */
const PROBLEM = '/?problem=sign-in';

/** The tokens of one sign-in in the memory of this process. */
interface Kept {
  refreshToken: string;
  readonly source: TokenSource;
}

/** Sign-in at an OpenID Connect issuer such as Keycloak: authorization code with PKCE, then an exchange of tokens. */
export function oidcSignIn(settings: SignInConfig & { kind: 'oidc' }, config: Config): SignIn {
  const { audience, scope } = settings;
  const issuer = discovered(settings, config.allowTokensOverHttp);
  const redirectUri = `${config.publicOrigin}/sign-in/callback`;
  const kept = new LRUCache<string, Kept>({ max: KEPT, ttl: config.sessionSeconds * 1000 });

  /** A token for the service, for the person of a refresh token. */
  async function issue(entry: { refreshToken: string }) {
    const known = await issuer();
    const refreshed = await asked(() => oidc.refreshTokenGrant(known, entry.refreshToken));
    // An issuer that rotates refresh tokens has given another one.
    entry.refreshToken = refreshed.refresh_token ?? entry.refreshToken;
    const exchanged = await asked(() =>
      oidc.genericGrantRequest(known, TOKEN_EXCHANGE, {
        subject_token: refreshed.access_token,
        subject_token_type: ACCESS_TOKEN,
        requested_token_type: ACCESS_TOKEN,
        audience,
      }),
    );
    return tokenOf(exchanged);
  }

  function keep(session: Pick<SessionData, 'id' | 'refreshToken'>): Kept {
    const known = kept.get(session.id);
    if (known !== undefined) return known;
    if (session.refreshToken === undefined) throw signInRequired('SIGN_IN_EXPIRED');
    const made: Kept = { refreshToken: session.refreshToken, source: cachedToken(() => issue(made)) };
    kept.set(session.id, made);
    return made;
  }

  return {
    serviceToken: cachedToken(async () => {
      const known = await issuer();
      return tokenOf(await asked(() => oidc.clientCredentialsGrant(known)));
    }),
    userToken: (session) => keep(session).source,
    renewedRefreshToken: ({ id }) => kept.peek(id)?.refreshToken,

    addRoutes(app: FastifyInstance) {
      app.get<{ Querystring: { returnTo?: string } }>('/sign-in', async (request, reply) => {
        const codeVerifier = oidc.randomPKCECodeVerifier();
        const [state, nonce] = [oidc.randomState(), oidc.randomNonce()];
        request.session.set('flow', {
          state,
          nonce,
          codeVerifier,
          returnTo: safeReturn(request.query.returnTo),
        });
        const url = oidc.buildAuthorizationUrl(await issuer(), {
          ...{ redirect_uri: redirectUri, scope, state, nonce, code_challenge_method: 'S256' },
          code_challenge: await oidc.calculatePKCECodeChallenge(codeVerifier),
        });
        return reply.header('cache-control', 'no-store').redirect(url.href);
      });

      app.get('/sign-in/callback', async (request, reply) => {
        reply.header('cache-control', 'no-store');
        const flow = request.session.get('flow');
        // Begun in another browser, or twice.
        if (flow === undefined) return reply.redirect(PROBLEM);
        request.session.set('flow', undefined);
        const { state: expectedState, nonce: expectedNonce, codeVerifier: pkceCodeVerifier } = flow;
        const checks = { expectedState, expectedNonce, pkceCodeVerifier, idTokenExpected: true };
        const known = await issuer();
        const came = new URL(request.url, config.publicOrigin);
        const tokens = await oidc.authorizationCodeGrant(known, came, checks).catch((error: unknown) => {
          request.log.warn({ err: error }, 'sign-in failed');
          return undefined;
        });
        const claims = tokens?.claims();
        if (tokens === undefined || claims === undefined) return reply.redirect(PROBLEM);
        const name = claims['name'] ?? claims['preferred_username'];
        beginSession(request, {
          userId: claims.sub,
          userName: typeof name === 'string' ? name : claims.sub,
          refreshToken: tokens.refresh_token,
        });
        return reply.redirect(flow.returnTo);
      });
    },

    async signOut(session) {
      const refreshToken = kept.get(session.id)?.refreshToken ?? session.refreshToken;
      kept.delete(session.id);
      const known = await issuer();
      // The cookie is gone either way; a token that could not be revoked ends with its own lifetime.
      if (refreshToken !== undefined) await oidc.tokenRevocation(known, refreshToken).catch(() => undefined);
      if (known.serverMetadata().end_session_endpoint === undefined) return '/';
      const back = { post_logout_redirect_uri: `${config.publicOrigin}/` };
      return oidc.buildEndSessionUrl(known, back).href;
    },
  };
}

/** The metadata of the issuer, read once; asked again as long as it does not answer. */
function discovered(
  settings: SignInConfig & { kind: 'oidc' },
  allowHttp: boolean,
): () => Promise<oidc.Configuration> {
  const { issuer, clientId, clientSecret } = settings;
  const url = new URL(issuer);
  const insecure = allowHttp || ['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname);
  let known: Promise<oidc.Configuration> | undefined;
  return () => {
    known ??= asked(() =>
      oidc.discovery(url, clientId, clientSecret, undefined, {
        timeout: 10,
        // Over http only on this machine, or where the operator says that the network is protected.
        // eslint-disable-next-line @typescript-eslint/no-deprecated
        ...(insecure && { execute: [oidc.allowInsecureRequests] }),
      }),
    );
    known.catch(() => (known = undefined));
    return known;
  };
}

function tokenOf(answer: oidc.TokenEndpointResponse & oidc.TokenEndpointResponseHelpers) {
  return { token: answer.access_token, expiresInSeconds: answer.expiresIn() ?? 60 };
}

/** Tells an ended sign-in from an issuer that does not answer and from a client that it does not accept. */
async function asked<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof oidc.ResponseBodyError) {
      if (error.error === 'invalid_grant') throw signInRequired('SIGN_IN_EXPIRED', error);
      throw refused(error);
    }
    if (error instanceof oidc.WWWAuthenticateChallengeError) throw refused(error);
    throw issuerUnavailable(error);
  }
}

/** The issuer does not accept the client of this BFF: its operator has to correct that. */
function refused(cause: Error): AssetClientError {
  return new AssetClientError('UNAUTHENTICATED', `the issuer refused this BFF: ${cause.message}`, {
    reason: 'TOKEN_UNAVAILABLE',
    cause,
  });
}
