import { AssetClientError } from './errors.ts';
import { assertHttpUrl, assertProtected } from './http-url.ts';

/**
 * A token, or where to get one. A function is asked before every call, so it should remember what it has (see {@link cachedToken});
 * where the service has just refused a token, it is called with that one and should give another.
 */
export type TokenSource = string | ((refused?: string) => string | Promise<string>);

/** A token as an issuer gives it. */
export interface IssuedToken {
  readonly token: string;
  /** How long it is good for from now on, in seconds. */
  readonly expiresInSeconds: number;
}

/** A service that an issuer knows by a secret (OAuth 2.0, client credentials). */
export interface ClientCredentials {
  /** The token endpoint; Keycloak's is `<issuer>/protocol/openid-connect/token`. */
  readonly tokenUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Scopes to ask for, separated by spaces. */
  readonly scope?: string;
  /** True to send the secret over http to another machine, where the network between protects it; refused otherwise. */
  readonly allowTokensOverHttp?: boolean;
}

/** Greatest time before its end at which a token is replaced, in milliseconds; a tenth of its life where that is less. */
const MARGIN_MS = 30_000;
const FETCH_TIMEOUT_MS = 10_000;

/**
 * A source that remembers its token and gets another one shortly before it ends, or when the service refuses it. However many calls ask
 * at once, `issue` is called once; if it fails, a token that is still good goes on being used.
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
 * Tokens of a service by its client credentials, remembered as {@link cachedToken} does.
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
  // RFC 6749, section 2.3.1: both are encoded like the fields of a form.
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
    // Without a lifetime it is asked for again each minute.
    return { token, expiresInSeconds: typeof seconds === 'number' ? seconds : 60 };
  }
  const said = typeof error === 'string' ? error : `HTTP ${response.status}`;
  const code = response.status >= 500 || response.status === 429 ? 'UNAVAILABLE' : 'UNAUTHENTICATED';
  throw failed(code, `the issuer gives the client ${clientId} no token: ${said}`);
}

function failed(code: 'UNAVAILABLE' | 'UNAUTHENTICATED', message: string, cause?: unknown): AssetClientError {
  return new AssetClientError(code, message, { reason: 'TOKEN_UNAVAILABLE', cause });
}
