import { createClient } from '@connectrpc/connect';
import { afterAll, beforeAll } from '@jest/globals';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { base64url, exportSPKI, importJWK, SignJWT, type CryptoKey } from 'jose';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AUDIENCE, makeKey, sign, startIssuer, type Issuer, type IssuerKey } from '../../support/issuer.ts';
import { startService, type Service } from '../../support/service.ts';
import { TRANSPORTS } from '../../e2e/support/calls.ts';
import { failureOf } from '../../e2e/support/failures.ts';

export type Claims = Readonly<Record<string, unknown>>;

/** Now, in seconds since 1970. */
export const now = () => Math.floor(Date.now() / 1000);

const encode = (value: unknown) => base64url.encode(JSON.stringify(value));

/** The header with a caller's token. */
export const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

/** Starts an issuer and a service for the tests of a suite; returns what makes tokens and sends them. */
export function tokenSuite() {
  let issuer: Issuer;
  let service: Service;
  let stranger: IssuerKey;
  /** Where a forger publishes its own keys. */
  let evil: Server;
  let evilUrl: string;
  let evilFetches = 0;

  beforeAll(async () => {
    issuer = await startIssuer();
    stranger = await makeKey('first');
    evil = createServer((_request, response) => {
      evilFetches++;
      response.end(JSON.stringify({ keys: [stranger.jwk] }));
    });
    await new Promise<void>((resolve) => evil.listen(0, '127.0.0.1', resolve));
    evilUrl = `http://127.0.0.1:${(evil.address() as AddressInfo).port}/keys`;
    service = await startService({
      ASSET_AUTH: 'oidc',
      ASSET_OIDC_ISSUER: issuer.url,
      ASSET_OIDC_AUDIENCE: AUDIENCE,
      ASSET_OIDC_JWKS_REFRESH: '1',
      ASSET_OIDC_CLOCK_SKEW: '5',
    });
  });

  afterAll(async () => {
    await service?.dispose();
    await issuer?.dispose();
    evil?.close();
  });

  const good = (claims: Claims = {}) => issuer.token({ scope: 'asset:admin', ...claims });

  const clientOver = (transport: string) => createClient(AssetService, TRANSPORTS[transport]!(service.url));

  const call = (headers: Record<string, string>, transport = 'gRPC') =>
    clientOver(transport).listFiles({}, { headers });

  const refused = (headers: Record<string, string>, transport?: string) =>
    failureOf(call(headers, transport));

  /** The claims of a valid token, for tokens that no library would make. */
  const claims = (more: Claims = {}) => ({
    ...{ iss: issuer.url, aud: AUDIENCE, sub: 'worker', iat: now(), exp: now() + 300, scope: 'asset:admin' },
    ...more,
  });

  /** Signs with the issuer's RSA public key as a shared secret. */
  async function confused(secretOf: 'pem' | 'jwk'): Promise<string> {
    const { jwk, kid } = issuer.key;
    const pem = await exportSPKI((await importJWK(jwk, 'RS256')) as CryptoKey);
    const secret = new TextEncoder().encode(secretOf === 'pem' ? pem : JSON.stringify(jwk));
    return new SignJWT(claims()).setProtectedHeader({ alg: 'HS256', kid }).sign(secret);
  }

  const forged = (header: Claims) => sign(claims(), stranger, header);

  /** How a token is invalid, and the caller's error. */
  const WRONG: readonly [string, string, () => Promise<string> | string][] = [
    ['signed by somebody else', 'signature', () => forged({})],
    [
      'with another payload',
      'signature',
      async () => {
        const [header, , signature] = (await good()).split('.');
        return `${header}.${encode(claims({ sub: 'boss' }))}.${signature}`;
      },
    ],
    [
      'with a damaged signature',
      'signature',
      async () => {
        const token = await good();
        return token.slice(0, -8) + (token.endsWith('AAAAAAAA') ? 'BBBBBBBB' : 'AAAAAAAA');
      },
    ],
    ['with alg=none and no signature', 'malformed', () => `${encode({ alg: 'none' })}.${encode(claims())}.`],
    [
      'with alg=none and a signature',
      'signature',
      async () => {
        const signature = (await good()).split('.')[2];
        return `${encode({ alg: 'none' })}.${encode(claims())}.${signature}`;
      },
    ],
    ['with alg=None', 'signature', () => `${encode({ alg: 'None' })}.${encode(claims())}.AAAA`],
    ['signed by HS256 with the public key as PEM', 'signature', () => confused('pem')],
    ['signed by HS256 with the public key as JWK', 'signature', () => confused('jwk')],
    ['with an unknown kid', 'signature', () => forged({ kid: 'nobody' })],
    ['with a kid that is a path', 'signature', () => forged({ kid: '../../../../dev/null' })],
    ['with a kid that is SQL', 'signature', () => forged({ kid: "' union select 'key' --" })],
    ['with the key in its header', 'signature', () => forged({ jwk: stranger.jwk })],
    ['with a jku in its header', 'signature', () => forged({ jku: evilUrl })],
    ['with an x5u in its header', 'signature', () => forged({ x5u: evilUrl })],
    ['with an x5c in its header', 'signature', () => forged({ x5c: ['AAAA'] })],
    [
      'with an unknown critical header',
      'signature',
      () => {
        const header = encode({ alg: 'RS256', kid: issuer.key.kid, crit: ['x'], x: 1 });
        return `${header}.${encode(claims())}.AAAA`;
      },
    ],
    ['for another audience', 'audience', () => good({ aud: 'another-service' })],
    ['for no audience', 'audience', () => good({ aud: undefined })],
    ['of another issuer', 'issuer', () => good({ iss: 'https://issuer.example' })],
    ['of an issuer with a slash more', 'issuer', () => good({ iss: `${issuer.url}/` })],
    ['that has expired', 'expired', () => good({ exp: now() - 60 })],
    ['that is not valid yet', 'expired', () => good({ nbf: now() + 60 })],
    ['that never expires', 'malformed', () => good({ exp: undefined })],
    ['without a subject', 'malformed', () => good({ sub: undefined })],
    ['with an empty subject', 'malformed', () => good({ sub: '' })],
    ['with a subject that breaks lines', 'malformed', () => good({ sub: 'a\nb' })],
    ['with a subject of a thousand characters', 'malformed', () => good({ sub: 'x'.repeat(1000) })],
    ['that is an ID token', 'malformed', () => good({ typ: 'ID' })],
    ['that is a refresh token', 'malformed', () => good({ typ: 'Refresh' })],
    [
      'that is a logout token',
      'malformed',
      () => issuer.token({ scope: 'asset:admin' }, { header: { typ: 'logout+jwt' } }),
    ],
    ['that is bound to a key', 'malformed', () => good({ cnf: { jkt: 'x' } })],
    ['that is no token', 'malformed', () => 'secret'],
    ['that is huge', 'malformed', () => good({ filler: 'x'.repeat(9000) })],
    ['with something behind it', 'malformed', async () => `${await good()} x`],
    ['and another behind a comma', 'malformed', async () => `${await good()}, Bearer ${await good()}`],
    ['in another scheme', 'malformed', () => Promise.resolve('')],
  ];

  return {
    ...{ good, claims, forged, clientOver, call, refused, WRONG },
    issuer: () => issuer,
    service: () => service,
    /** How often the service fetched a key from a forger. */
    evilFetches: () => evilFetches,
  };
}
