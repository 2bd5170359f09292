import { exportJWK, generateKeyPair, SignJWT, type JWK } from 'jose';
import type { KeyObject } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** The audience of {@link Issuer} tokens. */
export const AUDIENCE = 'asset-service';

/** A signing key pair of an issuer. */
export interface IssuerKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: KeyObject;
  readonly jwk: JWK;
}

/** Options of a token. */
export interface TokenOptions {
  readonly key?: IssuerKey;
  /** Header fields besides `alg` and `kid`. */
  readonly header?: Readonly<Record<string, unknown>>;
}

/** An OpenID Connect issuer with its own keys. */
export interface Issuer {
  readonly url: string;
  /** URL of its keys. */
  readonly jwksUrl: string;
  /** The current signing key. */
  readonly key: IssuerKey;
  /** The published keys. */
  jwks(): { readonly keys: readonly JWK[] };
  /** How often its keys were fetched. */
  readonly fetches: number;
  /** A token for the service with these claims, valid for five minutes; a claim that is undefined is omitted. */
  token(claims?: Readonly<Record<string, unknown>>, options?: TokenOptions): Promise<string>;
  /** Signs with a new key from now on. `keepOld` keeps the old one published. */
  rotate(keepOld?: boolean): Promise<void>;
  /** Stops answering. */
  goDown(): Promise<void>;
  /** Answers again at the same address. */
  comeUp(): Promise<void>;
  dispose(): Promise<void>;
}

/** Creates a key; default RS256. */
export async function makeKey(kid: string, alg = 'RS256'): Promise<IssuerKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' };
  return { kid, alg, privateKey: privateKey as unknown as KeyObject, jwk };
}

/** Signs exactly these claims. */
export function sign(
  claims: Readonly<Record<string, unknown>>,
  { alg, kid, privateKey }: IssuerKey,
  header: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg, kid, ...header }).sign(privateKey);
}

/** Starts an issuer on loopback. */
export async function startIssuer(): Promise<Issuer> {
  let key = await makeKey('first');
  let shown: JWK[] = [key.jwk];
  let count = 1;
  let fetches = 0;
  let server: Server | undefined;
  let port = 0;

  async function comeUp(): Promise<void> {
    const started = createServer((request, response) => {
      response.setHeader('content-type', 'application/json');
      if (request.url === '/.well-known/openid-configuration') {
        return response.end(JSON.stringify({ issuer: issuer.url, jwks_uri: issuer.jwksUrl }));
      }
      if (request.url !== '/keys') return response.writeHead(404).end();
      fetches++;
      return response.end(JSON.stringify(issuer.jwks()));
    });
    await new Promise<void>((resolve, reject) => {
      started.once('error', reject);
      started.listen(port, '127.0.0.1', resolve);
    });
    port = (started.address() as AddressInfo).port;
    server = started;
  }

  async function goDown(): Promise<void> {
    const stopping = server;
    if (stopping === undefined) return;
    server = undefined;
    await new Promise((resolve) => {
      stopping.close(resolve);
      stopping.closeAllConnections();
    });
  }

  await comeUp();
  const url = `http://127.0.0.1:${port}`;
  const issuer: Issuer = {
    url,
    jwksUrl: `${url}/keys`,
    get key() {
      return key;
    },
    jwks: () => ({ keys: shown }),
    get fetches() {
      return fetches;
    },
    token(claims = {}, options = {}) {
      const now = Math.floor(Date.now() / 1000);
      const all = { iss: url, aud: AUDIENCE, sub: 'worker', iat: now, exp: now + 300, ...claims };
      return sign(all, options.key ?? key, options.header);
    },
    async rotate(keepOld = false) {
      key = await makeKey(`key-${++count}`);
      shown = keepOld ? [...shown, key.jwk] : [key.jwk];
    },
    goDown,
    comeUp,
    dispose: goDown,
  };
  return issuer;
}
