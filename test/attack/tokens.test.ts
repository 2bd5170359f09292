import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createClient } from '@connectrpc/connect';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { base64url, exportSPKI, importJWK, SignJWT, type CryptoKey } from 'jose';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { AUDIENCE, makeKey, sign, startIssuer, type Issuer, type IssuerKey } from '../support/issuer.ts';
import { healthOf, startService, type Service } from '../support/service.ts';
import { randomContent, spec, TRANSPORTS, upload } from '../e2e/support/calls.ts';
import { eventually } from '../support/eventually.ts';
import { failureOf, type Failure } from '../e2e/support/failures.ts';
import { rawCall } from './support/raw-call.ts';

type Claims = Readonly<Record<string, unknown>>;

/** How long the service may take to notice changes of the issuer's keys. */
const PATIENCE_MS = 20_000;

const now = () => Math.floor(Date.now() / 1000);
const encode = (value: unknown) => base64url.encode(JSON.stringify(value));

describe('a token', () => {
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

  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

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

  const wrongHeader = async (name: string, make: () => Promise<string> | string) =>
    name === 'in another scheme' ? { authorization: `Basic ${await good()}` } : bearer(await make());

  it.each(WRONG)('%s is refused (%s)', async (name, problem, make) => {
    const failure = await refused(await wrongHeader(name, make));
    expect(failure).toMatchObject({
      code: 'UNAUTHENTICATED',
      reason: 'CREDENTIALS_INVALID',
      metadata: { credential: 'authorization', problem },
    });
    await call(bearer(await good()));
  });

  it('never makes the service fetch a key from where the token says', () => expect(evilFetches).toBe(0));

  describe.each(Object.keys(TRANSPORTS))('over %s', (transport) => {
    it('is accepted if valid and refused if not, for every kind of call', async () => {
      const client = clientOver(transport);
      const everyCall = (headers: Record<string, string>): [string, () => Promise<unknown>][] => [
        ['unary', () => client.listFiles({}, { headers })],
        [
          'server stream',
          async () => {
            for await (const _ of client.downloadFile({ fileId: 'aaaaaaaaaaaaaaa' }, { headers }));
          },
        ],
        // gRPC-Web has no client streams.
        ...(transport.startsWith('gRPC-Web')
          ? []
          : ([['client stream', () => client.upload(messages(), { headers })]] as const).map(
              ([name, make]): [string, () => Promise<unknown>] => [name, make],
            )),
      ];
      for (const [, , make] of WRONG.slice(0, 8)) {
        for (const [, attempt] of everyCall(bearer(await make()))) {
          expect(await failureOf(attempt())).toMatchObject({
            code: 'UNAUTHENTICATED',
            reason: 'CREDENTIALS_INVALID',
          });
        }
      }
      for (const [, attempt] of everyCall({})) {
        expect(await failureOf(attempt())).toMatchObject({
          code: 'UNAUTHENTICATED',
          reason: 'CREDENTIALS_MISSING',
        });
      }
      const outcomes: string[] = [];
      for (const [kind, attempt] of everyCall(bearer(await good()))) {
        const outcome = await attempt().then(
          () => 'passed',
          async (error: unknown) => (await failureOf(Promise.reject(error as Error))).reason,
        );
        outcomes.push(`${kind}: ${outcome}`);
      }
      const expected = ['unary: passed', 'server stream: FILE_NOT_FOUND', 'client stream: passed'];
      expect(outcomes).toEqual(expected.slice(0, outcomes.length));
    });

    it('of an end user is only taken from who may act for one', async () => {
      const user = await good({ sub: 'ann', scope: '' });
      const may = bearer(await good({ sub: 'bff', scope: 'asset:act-for-user asset:read' }));
      const mayNot = bearer(await good({ sub: 'worker', scope: 'asset:admin asset:read asset:write' }));
      await call({ ...may, 'asset-user-token': user }, transport);
      const { reason, code } = await refused({ ...mayNot, 'asset-user-token': user }, transport);
      expect([code, reason]).toEqual(['PERMISSION_DENIED', 'END_USER_NOT_ALLOWED']);
    });
  });

  it('ends its streams when it expires, also waiting ones', async () => {
    const file = { owner: 'worker' };
    const large = { file, headers: bearer(await good()) };
    const { id: fileId } = await upload(clientOver('gRPC'), randomContent(32 * 2 ** 20), large);
    // The permitted clock skew is five seconds.
    const ending = { exp: now() - 2 };
    const [own, bff, ann] = await Promise.all([
      good(ending),
      good({ sub: 'bff', scope: 'asset:act-for-user asset:read' }),
      good({ ...ending, sub: 'worker', scope: '' }),
    ]);
    let end = () => undefined as void;
    const ended = new Promise<void>((resolve) => (end = resolve));
    async function* waiting() {
      yield spec();
      await ended;
    }
    const attempts = Object.keys(TRANSPORTS).flatMap((transport) => {
      const client = clientOver(transport);
      const read = async (headers: Record<string, string>) => {
        let pause = 4_000;
        for await (const _ of client.downloadFile({ fileId }, { headers })) {
          await sleep(pause);
          pause = 0;
        }
      };
      return [
        ...(transport.startsWith('gRPC-Web') ? [] : [client.upload(waiting(), { headers: bearer(own) })]),
        read(bearer(own)),
        read({ ...bearer(bff), 'asset-user-token': ann }),
      ];
    });
    const failures = await Promise.all(attempts.map((attempt) => failureOf(attempt)));
    end();
    expect(new Set(failures.map(({ reason, metadata }) => [reason, metadata['problem']].join()))).toEqual(
      new Set(['CREDENTIALS_INVALID,expired']),
    );
    expect(new Set(failures.map(({ metadata }) => metadata['credential']))).toEqual(
      new Set(['authorization', 'asset-user-token']),
    );
  });

  describe('of an end user', () => {
    let bff: Record<string, string>;
    const actingFor = async (userToken: string): Promise<Failure> =>
      refused({ ...bff, 'asset-user-token': userToken });

    beforeAll(async () => {
      bff = bearer(await good({ sub: 'bff', azp: 'bff', scope: 'asset:act-for-user' }));
    });

    it.each(WRONG.filter(([name]) => !name.startsWith('in another')))(
      '%s is refused (%s)',
      async (_, problem, make) => {
        expect(await actingFor(await make())).toMatchObject({
          code: 'UNAUTHENTICATED',
          reason: 'CREDENTIALS_INVALID',
          metadata: { credential: 'asset-user-token', problem },
        });
      },
    );

    it.each<[string, Claims]>([
      ['by the name that Keycloak gives it', { sub: 'a1', preferred_username: 'service-account-worker' }],
      ['by being its own client', { sub: 'worker', azp: 'worker' }],
      ['by its grant', { sub: 'worker', gty: 'client-credentials' }],
      ['by its client at Okta', { sub: 'worker', cid: 'worker' }],
      ['by its subject at Auth0', { sub: 'worker@clients', azp: 'worker' }],
      ['by its type at Entra', { sub: 'a1', appid: 'b2', idtyp: 'app', name: 'worker' }],
      ['by where it signed in', { sub: 'a1', sid: 's', clientAddress: '10.0.0.1' }],
      ['by nothing but a client, where Keycloak adds no name', { sub: 'a1', azp: 'worker', acr: '1' }],
      ['by nothing but a client, by RFC 9068', { sub: 'a1', client_id: 'worker', email_verified: false }],
      ['by being the one that calls', { sub: 'bff' }],
    ])('is refused if it is that of a service, told %s', async (_, service) => {
      expect(await actingFor(await good(service))).toMatchObject({
        reason: 'CREDENTIALS_INVALID',
        metadata: { problem: 'service-account' },
      });
    });

    it.each<[string, Claims]>([
      ['without a client', { sub: 'ann' }],
      ['in a session', { sub: 'ann', azp: 'web', sid: 's1' }],
      ['by name', { sub: 'ann', client_id: 'web', preferred_username: 'ann' }],
    ])('is taken for that of a person %s', async (_, claims) => {
      await call({ ...bff, 'asset-user-token': await good(claims) });
    });

    it('cannot be sent by a user in the place of a service', async () => {
      const user = await good({ sub: 'ann', scope: '' });
      expect(await refused({ ...bearer(user), 'asset-user-token': user })).toMatchObject({
        reason: 'END_USER_NOT_ALLOWED',
      });
    });

    it('does not replace the identity of the service', async () => {
      const user = await good({ sub: 'ann', scope: '' });
      expect(await refused({ 'asset-user-token': user })).toMatchObject({ reason: 'CREDENTIALS_MISSING' });
    });

    it('needs the role itself, and nothing that looks like it', async () => {
      const user = await good({ sub: 'ann', scope: '' });
      for (const claims of [
        { scope: 'asset:act-for-users' },
        { scope: 'act-for-user' },
        { scope: ['asset:act-for-user'] },
        { scope: '', roles: ['asset:act-for-user'] },
        { scope: '', resource_access: { other: { roles: ['asset:act-for-user'] } } },
        { scope: '', resource_access: { [AUDIENCE]: { roles: 'asset:act-for-user' } } },
        { scope: '', realm_access: { roles: [['asset:act-for-user']] } },
      ]) {
        const headers = { ...bearer(await good({ sub: 'bff', ...claims })), 'asset-user-token': user };
        expect(await refused(headers)).toMatchObject({ reason: 'END_USER_NOT_ALLOWED' });
      }
      for (const claims of [
        { scope: 'openid asset:act-for-user' },
        { scope: '', realm_access: { roles: ['asset:act-for-user'] } },
        { scope: '', resource_access: { [AUDIENCE]: { roles: ['asset:act-for-user'] } } },
      ]) {
        await call({ ...bearer(await good({ sub: 'bff', ...claims })), 'asset-user-token': user });
      }
    });
  });

  describe('in a header that is sent twice', () => {
    it.each(['HTTP/1.1', 'HTTP/2'] as const)(
      'is refused over %s, whichever of them is good',
      async (version) => {
        const token = `Bearer ${await good()}`;
        const bff = `Bearer ${await good({ scope: 'asset:act-for-user' })}`;
        const [ann, bob] = [await good({ sub: 'ann' }), await good({ sub: 'bob' })];
        const send = (...headers: [string, string][]) => rawCall(service.port, version, headers);
        expect(await send(['authorization', token])).toBe('OK');
        expect(await send(['authorization', bff], ['asset-user-token', ann])).toBe('OK');
        const invalid = 'ERROR_REASON_CREDENTIALS_INVALID';
        expect(await send(['authorization', token], ['authorization', token])).toBe(invalid);
        expect(await send(['authorization', token], ['authorization', 'Bearer x'])).toBe(invalid);
        expect(await send(['authorization', 'Bearer x'], ['authorization', token])).toBe(invalid);
        expect(await send(['authorization', bff], ['asset-user-token', ann], ['asset-user-token', bob])).toBe(
          invalid,
        );
        expect(await send(['authorization', bff], ['asset-user-token', `${ann}, ${bob}`])).toBe(invalid);
      },
    );
  });

  it('is asked for in www-authenticate over HTTP', async () => {
    const url = `${service.url}/asset.v1.AssetService/ListFiles`;
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(url, { method: 'POST', headers, body: '{}' });
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toBe('Bearer');
  });

  it('is checked before everything else in the call', async () => {
    const client = clientOver('gRPC');
    const wrong = { fileId: '' };
    expect(await failureOf(client.getFile(wrong))).toMatchObject({ reason: 'CREDENTIALS_MISSING' });
    expect(await failureOf(client.getFile(wrong, { headers: bearer(await good()) }))).toMatchObject({
      reason: 'FIELD_INVALID',
    });
  });

  it('is not needed for health and reflection', async () => {
    expect(await healthOf(service.url)).toBe('SERVING');
    expect(await healthOf(service.url, 'identity')).toBe('SERVING');
  });

  it('is never in the log, whose lines name principal and end user', async () => {
    const [token, user] = [
      await good({ sub: 'bff', scope: 'asset:act-for-user' }),
      await good({ sub: 'ann' }),
    ];
    await call({ ...bearer(token), 'asset-user-token': user });
    await refused(bearer(`${token}x`));
    const ofBff = () => service.logLines().findLast(({ principal }) => principal === 'bff');
    await eventually(() => expect(ofBff()).toMatchObject({ rpc: 'ListFiles', end_user: 'ann' }), 20_000);
    const log = service.log();
    for (const secret of [token, user]) {
      for (const part of secret.split('.').slice(1)) expect(log).not.toContain(part);
    }
  });

  it('of a withdrawn key stops working, and one of a new key works at once', async () => {
    const old = await good();
    await call(bearer(old));
    await issuer.rotate(true);
    // The new key works when needed, and the old one as long as the issuer publishes it.
    await eventually(() => good().then((token) => call(bearer(token))), PATIENCE_MS);
    await call(bearer(old));
    await issuer.rotate();
    await eventually(() => good().then((token) => call(bearer(token))), PATIENCE_MS);
    expect(await refused(bearer(old))).toMatchObject({ metadata: { problem: 'signature' } });
  });

  it('with an unknown key does not have the keys fetched for every call', async () => {
    const before = issuer.fetches;
    const started = performance.now();
    for (let i = 0; i < 50; i++) await refused(bearer(await forged({ kid: `unknown-${i}` })));
    const seconds = (performance.now() - started) / 1000;
    expect(issuer.fetches - before).toBeLessThanOrEqual(2 * Math.ceil(seconds) + 2);
  });

  it('is verified with the last keys while the issuer is down, and an unknown key is UNAVAILABLE', async () => {
    await call(bearer(await good()));
    const unknown = await sign(claims(), await makeKey('newer'));
    await issuer.goDown();
    try {
      // During the cooldown the last keys count as complete.
      await eventually(async () => {
        const failure = await refused(bearer(unknown));
        expect(failure).toMatchObject({ code: 'UNAVAILABLE', reason: 'IDENTITY_UNAVAILABLE' });
        expect(failure.retryMs).toBeGreaterThan(0);
      }, PATIENCE_MS);
      await call(bearer(await good()));
      expect(await healthOf(service.url)).toBe('SERVING');
    } finally {
      await issuer.comeUp();
    }
    await eventually(async () => {
      expect(await refused(bearer(unknown))).toMatchObject({ reason: 'CREDENTIALS_INVALID' });
    }, PATIENCE_MS);
  });

  it('is UNAVAILABLE, never UNAUTHENTICATED, while there are no keys at all', async () => {
    await issuer.goDown();
    let late: Service | undefined;
    try {
      const env = { ASSET_AUTH: 'oidc', ASSET_OIDC_ISSUER: issuer.url, ASSET_OIDC_AUDIENCE: AUDIENCE };
      late = await startService(env, { until: 'answering' });
      expect(await healthOf(late.url, 'identity')).toBe('NOT_SERVING');
      const client = createClient(AssetService, TRANSPORTS['gRPC']!(late.url));
      for (const token of [await good(), await forged({})]) {
        expect(await failureOf(client.listFiles({}, { headers: bearer(token) }))).toMatchObject({
          code: 'UNAVAILABLE',
          reason: 'IDENTITY_UNAVAILABLE',
        });
      }
      await issuer.comeUp();
      await eventually(
        () => good().then((token) => client.listFiles({}, { headers: bearer(token) })),
        PATIENCE_MS,
      );
    } finally {
      await issuer.comeUp().catch(() => undefined);
      await late?.dispose();
    }
  });
});

async function* messages() {
  yield { ...spec({ owner: 'worker' }), data: { content: new Uint8Array([1]) }, finishWrite: true };
}
