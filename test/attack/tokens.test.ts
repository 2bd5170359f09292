import { describe, expect, it } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { healthOf } from '../support/service.ts';
import { randomContent, spec, TRANSPORTS, upload } from '../e2e/support/calls.ts';
import { eventually } from '../support/eventually.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { rawCall } from './support/raw-call.ts';
import { bearer, now, tokenSuite } from './support/tokens.ts';

describe('a token', () => {
  const { good, clientOver, call, refused, WRONG, service, evilFetches } = tokenSuite();

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

  it('never makes the service fetch a key from where the token says', () => expect(evilFetches()).toBe(0));

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

  describe('in a header that is sent twice', () => {
    it.each(['HTTP/1.1', 'HTTP/2'] as const)(
      'is refused over %s, whichever of them is good',
      async (version) => {
        const token = `Bearer ${await good()}`;
        const bff = `Bearer ${await good({ scope: 'asset:act-for-user' })}`;
        const [ann, bob] = [await good({ sub: 'ann' }), await good({ sub: 'bob' })];
        const send = (...headers: [string, string][]) => rawCall(service().port, version, headers);
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
    const url = `${service().url}/asset.v1.AssetService/ListFiles`;
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
    expect(await healthOf(service().url)).toBe('SERVING');
    expect(await healthOf(service().url, 'identity')).toBe('SERVING');
  });

  it('is never in the log, whose lines name principal and end user', async () => {
    const [token, user] = [
      await good({ sub: 'bff', scope: 'asset:act-for-user' }),
      await good({ sub: 'ann' }),
    ];
    await call({ ...bearer(token), 'asset-user-token': user });
    await refused(bearer(`${token}x`));
    const ofBff = () =>
      service()
        .logLines()
        .findLast(({ principal }) => principal === 'bff');
    await eventually(() => expect(ofBff()).toMatchObject({ rpc: 'ListFiles', end_user: 'ann' }));
    const log = service().log();
    for (const secret of [token, user]) {
      for (const part of secret.split('.').slice(1)) expect(log).not.toContain(part);
    }
  });
});

async function* messages() {
  yield { ...spec({ owner: 'worker' }), data: { content: new Uint8Array([1]) }, finishWrite: true };
}
