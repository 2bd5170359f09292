import { AssetClientError } from './errors.ts';
import { assertHttpUrl, assertProtected } from './http-url.ts';

/**
 * A token, or a function that returns one. The function is called before every call, so it should cache (see {@link
 * cachedToken}). After the service refused a token, it is called with that token and should return another.
 */
export type TokenSource = string | ((refused?: string) => string | Promise<string>);

/** A token of an issuer. */
export interface IssuedToken {
  readonly token: string;
  /** Remaining lifetime in seconds. */
  readonly expiresInSeconds: number;
}

/** OAuth 2.0 client credentials of a service. */
export interface ClientCredentials {
  /** The token endpoint; Keycloak's is `<issuer>/protocol/openid-connect/token`. */
  readonly tokenUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Scopes to request, separated by spaces. */
  readonly scope?: string;
  /**
   * True permits the secret over http to another machine, for a network that is otherwise protected; refused by
   * default.
   */
  readonly allowTokensOverHttp?: boolean;
}

/** How long before its expiry a token is replaced, in milliseconds; at most a tenth of its lifetime. */
const MARGIN_MS = 30_000;
const FETCH_TIMEOUT_MS = 10_000;

/**
 * A source that caches its token and gets another shortly before expiry or when the service refuses it. Concurrent
 * calls share one `issue`; if it fails, a token that is still valid stays in use.
 */
export function cachedToken(issue: () => Promise<IssuedToken>): (refused?: string) => Promise<string> {
  let current: { readonly token: string; readonly renewAt: number; readonly end: number } | undefined;
  let renewing: Promise<string> | undefined;
  async function renew(): Promise<string> {
    const { token, expiresInSeconds } = await issue();
    const now = performance.now();
    const lifeMs = expiresInSeconds * 1000;
    current = { token, renewAt: now + lifeMs - Math.min(MARGIN_MS, lifeMs / 10), end: now + lifeMs };
    return token;
  }
  return (refused) => {
    if (current !== undefined && current.token === refused) current = undefined;
    const known = current;
    const now = performance.now();
    if (known !== undefined && now < known.renewAt) return Promise.resolve(known.token);
    renewing ??= renew().finally(() => (renewing = undefined));
    if (known === undefined || now >= known.end) return renewing;
    return renewing.catch(() => known.token);
  };
}

/**
 * Tokens of a service by client credentials, cached as in {@link cachedToken}.
 *
 * @throws AssetClientError OPTION_INVALID, TOKEN_NOT_PROTECTED
 */
export function clientCredentials(options: ClientCredentials): (refused?: string) => Promise<string> {
  const url = assertHttpUrl('tokenUrl', options.tokenUrl);
  if (options.allowTokensOverHttp !== true) assertProtected(url, 'client secret');
  return cachedToken(() => issueToken(options));
}

async function issueToken(options: ClientCredentials): Promise<IssuedToken> {
  const { tokenUrl, clientId, clientSecret, scope } = options;
  // RFC 6749, section 2.3.1: both are form-encoded.
  const encoded = (text: string) => new URLSearchParams({ x: text }).toString().slice(2);
  const secret = Buffer.from(`${encoded(clientId)}:${encoded(clientSecret)}`).toString('base64');
  let response: Response;
  let answer: { readonly access_token?: unknown; readonly expires_in?: unknown; readonly error?: unknown };
  try {
    response = await fetch(tokenUrl, {
      method: 'POST',
      headers: { authorization: `Basic ${secret}`, accept: 'application/json' },
      body: new URLSearchParams({ grant_type: 'client_credentials', ...(scope ? { scope } : {}) }),
      redirect: 'error',
      signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
    });
    answer = (await response.json()) ?? {};
  } catch (cause) {
    throw failed('UNAVAILABLE', 'the issuer of tokens cannot be reached', cause);
  }
  const { access_token: token, expires_in: seconds, error } = answer;
  if (response.ok && typeof token === 'string') {
    // A token without a lifetime is replaced every minute.
    return { token, expiresInSeconds: typeof seconds === 'number' ? seconds : 60 };
  }
  const said = typeof error === 'string' ? error : `HTTP ${response.status}`;
  const code = response.status >= 500 || response.status === 429 ? 'UNAVAILABLE' : 'UNAUTHENTICATED';
  throw failed(code, `the issuer gives the client ${clientId} no token: ${said}`);
}

function failed(code: 'UNAVAILABLE' | 'UNAUTHENTICATED', message: string, cause?: unknown): AssetClientError {
  return new AssetClientError(code, message, { reason: 'TOKEN_UNAVAILABLE', cause });
}
