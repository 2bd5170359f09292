import { createBffClient } from '@asset-service/bff';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type AssetClientOptions, clientCredentials, createWorkerClient } from '@asset-service/worker';
import { type Double, startDouble } from './clients-double.ts';

const here = 'http://127.0.0.1:1';

/** What making a client fails with. */
function failureOf(make: () => unknown): unknown {
  try {
    make();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('options of a client', () => {
  const wrong: Record<string, unknown> = {
    'no options at all': undefined,
    'no URL': {},
    'a URL that is none': { baseUrl: 'assets.example:8080/a b' },
    'a host and a port': { baseUrl: 'localhost:8080' },
    'another scheme': { baseUrl: 'ftp://127.0.0.1' },
    'an unknown transport': { baseUrl: here, transport: 'http3' },
    'a time that is none': { baseUrl: here, timeouts: { callMs: Number.NaN } },
    'a negative time': { baseUrl: here, timeouts: { transferMs: -1 } },
    'a negative number of retries': { baseUrl: here, retry: { retries: -1 } },
    'a negative wait': { baseUrl: here, retry: { baseDelayMs: -1 } },
    'a token that is no text': { baseUrl: here, token: 5 },
  };
  for (const [what, options] of Object.entries(wrong)) {
    it(`are refused for ${what}`, () => {
      const failure = failureOf(() => createWorkerClient(options as AssetClientOptions));
      expect(failure).toMatchObject({
        ...{ name: 'AssetClientError', code: 'INVALID_ARGUMENT', reason: 'OPTION_INVALID' },
      });
    });
  }
});

describe('tokens over http', () => {
  const refused = { name: 'AssetClientError', code: 'FAILED_PRECONDITION', reason: 'TOKEN_NOT_PROTECTED' };

  it.each([
    'http://assets.example',
    'http://10.0.0.7:8080',
    'http://127.0.0.1.example',
    'http://[2001:db8::1]:80',
  ])('are not sent to %s', (baseUrl) => {
    expect(failureOf(() => createWorkerClient({ baseUrl, token: 'secret' }))).toMatchObject(refused);
    expect(failureOf(() => createWorkerClient({ baseUrl, token: () => 'secret' }))).toMatchObject(refused);
    expect(failureOf(() => createBffClient({ baseUrl, userToken: 'secret' }))).toMatchObject(refused);
    const client = createBffClient({ baseUrl });
    expect(failureOf(() => client.forUser('secret'))).toMatchObject(refused);
    client.close();
    expect(
      failureOf(() => clientCredentials({ tokenUrl: baseUrl, clientId: 'a', clientSecret: 'b' })),
    ).toMatchObject(refused);
  });

  it.each([
    'http://127.0.0.1:8080',
    'http://127.8.9.1',
    'http://localhost:1',
    'http://a.localhost',
    'http://[::1]:8080',
  ])('are sent to this machine, as %s', (baseUrl) => {
    createWorkerClient({ baseUrl, token: 'secret' }).close();
    clientCredentials({ tokenUrl: baseUrl, clientId: 'a', clientSecret: 'b' });
  });

  it('are sent where the caller says that the network protects them', () => {
    const baseUrl = 'http://assets.internal:8080';
    const client = createBffClient({ baseUrl, token: 'secret', allowTokensOverHttp: true });
    client.forUser('of-ann').close();
    client.close();
    createWorkerClient({ baseUrl: 'https://assets.example', token: 'secret' }).close();
    createWorkerClient({ baseUrl, token: '' }).close();
    clientCredentials({ tokenUrl: baseUrl, clientId: 'a', clientSecret: 'b', allowTokensOverHttp: true });
  });
});

describe('a closed client', () => {
  let double: Double;
  beforeAll(async () => {
    double = await startDouble({ getFile: () => ({ file: { id: 'abc' } }) });
  });
  afterAll(async () => double[Symbol.asyncDispose]());

  it('opens no connection for a call that was waiting for its token', async () => {
    let give: (token: string) => void = () => undefined;
    const token = () => new Promise<string>((resolve) => (give = resolve));
    const client = createWorkerClient({ baseUrl: double.baseUrl, token });
    const call = client.getFile('abc');
    client.close();
    give('late');
    await expect(call).rejects.toMatchObject({ code: 'FAILED_PRECONDITION', reason: 'CLIENT_CLOSED' });
    expect(double.sockets.size).toBe(0);
  });
});
