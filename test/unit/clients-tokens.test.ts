import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Code, ConnectError } from '@connectrpc/connect';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { createAssetClient } from '../../clients/core/src/client.ts';
import { cachedToken, clientCredentials } from '../../clients/core/src/tokens.ts';
import { serviceError, startDouble } from './clients-double.ts';

describe('a remembered token', () => {
  it('is asked for once by many calls, and again shortly before its end', async () => {
    let issued = 0;
    const source = cachedToken(async () => ({
      token: `t${++issued}`,
      expiresInSeconds: issued === 1 ? 0.5 : 60,
    }));
    expect(await Promise.all([source(), source(), source()])).toEqual(['t1', 't1', 't1']);
    const deadline = Date.now() + 10_000;
    while ((await source()) === 't1' && Date.now() < deadline) await new Promise(setImmediate);
    expect(await source()).toBe('t2');
    expect(issued).toBe(2);
  });

  it('is replaced after a refusal, but not after the refusal of an older one', async () => {
    let issued = 0;
    const source = cachedToken(async () => ({ token: `t${++issued}`, expiresInSeconds: 60 }));
    expect(await source()).toBe('t1');
    expect(await source('t1')).toBe('t2');
    expect(await source('t1')).toBe('t2');
    expect(issued).toBe(2);
  });

  it('stays in use while no other is available, until it expires', async () => {
    let issued = 0;
    const source = cachedToken(async () => {
      if (++issued > 1) throw new Error('no more');
      return { token: 'only', expiresInSeconds: 3 };
    });
    expect(await source()).toBe('only');
    const deadline = Date.now() + 10_000;
    while (issued < 2 && Date.now() < deadline) expect(await source()).toBe('only');
    await new Promise((resolve) => setTimeout(resolve, 3_100));
    await expect(source()).rejects.toThrow('no more');
  });
});

describe('client credentials', () => {
  let server: Server;
  let tokenUrl: string;
  let seen: { authorization: string | undefined; body: string }[] = [];
  let answer: { status: number; body: object } = { status: 200, body: {} };

  beforeAll(async () => {
    server = createServer((request, response) => {
      let body = '';
      request.on('data', (piece) => (body += String(piece)));
      request.on('end', () => {
        seen.push({ authorization: request.headers.authorization, body });
        response.writeHead(answer.status, { 'content-type': 'application/json' });
        response.end(JSON.stringify(answer.body));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    tokenUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
  });
  beforeEach(() => {
    seen = [];
  });
  afterAll(() => {
    server.close();
  });

  it('get a token and remember it', async () => {
    answer = { status: 200, body: { access_token: 'abc', expires_in: 300 } };
    const source = clientCredentials({ tokenUrl, clientId: 'a b', clientSecret: 'c:d', scope: 'x y' });
    expect([await source(), await source()]).toEqual(['abc', 'abc']);
    const authorization = `Basic ${Buffer.from('a+b:c%3Ad').toString('base64')}`;
    expect(seen).toEqual([{ authorization, body: 'grant_type=client_credentials&scope=x+y' }]);
  });

  it('that are refused fail the call without telling the secret', async () => {
    answer = { status: 401, body: { error: 'invalid_client' } };
    await using double = await startDouble({ getFile: () => ({ file: { id: 'abc' } }) });
    const token = clientCredentials({ tokenUrl, clientId: 'worker', clientSecret: 'hunter2' });
    await using client = createAssetClient({ baseUrl: double.baseUrl, token, retry: { retries: 0 } });
    const error: unknown = await client.getFile('abc').catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: 'UNAUTHENTICATED',
      reason: 'TOKEN_UNAVAILABLE',
      message: 'the issuer gives the client worker no token: invalid_client',
    });
    expect(JSON.stringify(error)).not.toContain('hunter2');
    answer = { status: 503, body: {} };
    await expect(client.getFile('abc')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});

describe('a call that is refused for its token', () => {
  /** A service that knows one token of the service and one of the user. */
  const double = (calls: string[]) => {
    const check = (header: Headers) => {
      const tokens = `${header.get('authorization')} ${header.get('asset-user-token')}`;
      calls.push(tokens);
      for (const [place, good] of [
        ['authorization', 'Bearer new'],
        ['asset-user-token', 'ann'],
      ] as const) {
        if (header.get(place) === good) continue;
        throw serviceError(Code.Unauthenticated, 'CREDENTIALS_INVALID', { metadata: { credential: place } });
      }
    };
    return startDouble({
      getFile(_request, { requestHeader }) {
        check(requestHeader);
        return { file: { id: 'abc' } };
      },
      async *downloadFile(_request, { requestHeader }) {
        check(requestHeader);
        yield { file: { id: 'abc', sizeBytes: 1n }, data: { content: new Uint8Array(1) } };
      },
      async upload(messages, { requestHeader }) {
        check(requestHeader);
        for await (const _ of messages);
        return { writeStatus: { case: 'file' as const, value: { id: 'abc', sizeBytes: 3n } } };
      },
    });
  };

  const renewing = () => {
    let current = 'old';
    return (refused?: string) => (current = refused === current ? 'new' : current);
  };

  it('is made once more with another one, whatever kind of call it is', async () => {
    const calls: string[] = [];
    await using service = await double(calls);
    const open = () =>
      createAssetClient({
        baseUrl: service.baseUrl,
        token: renewing(),
        userToken: 'ann',
        retry: { retries: 0 },
      });
    const twice = ['Bearer old ann', 'Bearer new ann'];
    for (const attempt of [
      (client: ReturnType<typeof open>) => client.getFile('abc'),
      async (client: ReturnType<typeof open>) => {
        for await (const _ of (await client.openRead('abc')).stream);
      },
      (client: ReturnType<typeof open>) => client.uploadFile(Buffer.from('abc')),
    ]) {
      await using client = open();
      calls.length = 0;
      await attempt(client).catch((error: unknown) => {
        // The double knows no checksums; that the call got through is what is looked at.
        if ((error as { code: string }).code === 'UNAUTHENTICATED') throw error;
      });
      expect(calls).toEqual(twice);
    }
  });

  it('is made again for each of its tokens', async () => {
    const calls: string[] = [];
    await using service = await double(calls);
    let user = 'stale';
    const userToken = (refused?: string) => (user = refused === user ? 'ann' : user);
    await using client = createAssetClient({
      ...{ baseUrl: service.baseUrl, token: renewing(), userToken, retry: { retries: 0 } },
    });
    await client.getFile('abc');
    expect(calls).toEqual(['Bearer old stale', 'Bearer new stale', 'Bearer new ann']);
  });

  it('is made again as often as an upload makes progress in between', async () => {
    // Each token is good for one call.
    let [issued, accepted] = [1, 1];
    let persisted = 0;
    await using service = await startDouble({
      startUpload: () => ({ uploadId: 'abc', partSizeBytes: 1n }),
      getUpload: () => ({ writeStatus: { case: 'persistedSize' as const, value: BigInt(persisted) } }),
      async upload(messages, { requestHeader }) {
        if (requestHeader.get('authorization') !== `Bearer ${accepted}`)
          throw serviceError(Code.Unauthenticated, 'CREDENTIALS_INVALID', {
            metadata: { credential: 'authorization' },
          });
        for await (const { data, finishWrite } of messages) {
          persisted += data?.content.length ?? 0;
          if (finishWrite)
            return {
              writeStatus: { case: 'file' as const, value: { id: 'abc', sizeBytes: BigInt(persisted) } },
            };
          // The connection breaks after some bytes, and the token has ended meanwhile.
          if (persisted > 0) break;
        }
        accepted++;
        throw serviceError(Code.Unavailable, 'STORE_UNAVAILABLE');
      },
    });
    const token = (refused?: string) => {
      if (refused === String(issued)) issued = accepted;
      return String(issued);
    };
    const retry = { retries: 1, baseDelayMs: 1 };
    await using client = createAssetClient({ baseUrl: service.baseUrl, token, retry });
    async function* bytes() {
      for (let i = 0; i < 4; i++) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        yield Buffer.alloc(1 << 20);
      }
    }
    await client.uploadFile(bytes()).catch((error: unknown) => {
      if ((error as { code: string }).code === 'UNAUTHENTICATED') throw error;
    });
    expect(accepted).toBeGreaterThan(2);
  });

  it('is not made again where there is no other, or the other is refused too', async () => {
    const calls: string[] = [];
    await using service = await double(calls);
    const refusedWith = async (token: string | ((refused?: string) => string), userToken = 'ann') => {
      calls.length = 0;
      await using client = createAssetClient({ baseUrl: service.baseUrl, token, userToken });
      await expect(client.getFile('abc')).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
      return calls.length;
    };
    expect(await refusedWith('old')).toBe(1);
    expect(await refusedWith(() => 'old')).toBe(1);
    let count = 0;
    expect(await refusedWith(() => `bad${++count}`)).toBe(2);
    // The token of the user is at fault, so that of the service is not asked for again.
    expect(await refusedWith((refused) => (refused ? 'asked for' : 'new'), 'bob')).toBe(1);
  });

  it.each(['', 'hunter2\nx', 'hunter2 x', 'hunter2é'])(
    'is never made with %j, and does not show it',
    async (bad) => {
      const calls: string[] = [];
      await using service = await double(calls);
      // Without a token of the service there is nothing to leave out; see the next test.
      const asService = bad === '' ? [] : [{ token: bad }];
      for (const tokens of [...asService, { token: 'new', userToken: () => bad }]) {
        await using client = createAssetClient({ baseUrl: service.baseUrl, ...tokens });
        const error: unknown = await client.getFile('abc').catch((reason: unknown) => reason);
        expect(error).toMatchObject({ code: 'UNAUTHENTICATED', reason: 'TOKEN_UNAVAILABLE' });
        expect(inspect(error, { depth: 10 })).not.toContain('hunter2');
      }
      expect(calls).toEqual([]);
    },
  );

  it('is made without a token where that of the service is empty', async () => {
    const calls: string[] = [];
    await using service = await double(calls);
    await using client = createAssetClient({ baseUrl: service.baseUrl, token: () => '' });
    await expect(client.getFile('abc')).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(calls).toHaveLength(1);
  });

  it('fails with what the source fails with', async () => {
    await using service = await double([]);
    await using client = createAssetClient({
      baseUrl: service.baseUrl,
      token: () => Promise.reject(new ConnectError('no token today', Code.FailedPrecondition)),
    });
    await expect(client.getFile('abc')).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
  });
});
