import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { loadConfig } from '../../src/config/config.ts';
import { explainFailure } from '../../src/config/explain.ts';
import type { AssetError } from '../../src/errors/asset-error.ts';
import type { S3Options } from '../../src/storage/s3/bucket.ts';
import { S3BlobStore } from '../../src/storage/s3/s3-store.ts';
import { startFailingProxy, type FailingAnswer, type FailingProxy } from '../support/legacy/failing-proxy.ts';
import { createBucket, sharedS3 } from '../support/shared-servers.ts';
import { bufferedBody, bytes, newKey, readAll, rejection, streamedBody } from './blob-store/driver.ts';

const server = sharedS3();
const TYPE = { contentType: 'text/plain' };
const PART = 5 * 2 ** 20;
const XML = { 'content-type': 'application/xml' };

/** An error of S3, as its documentation has it. */
function s3Error(
  status: number,
  code: string,
  more: Partial<FailingAnswer> & { xml?: string } = {},
): FailingAnswer {
  const { xml = '', ...others } = more;
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>said by S3</Message>${xml}<RequestId>1</RequestId></Error>`;
  return { status, headers: XML, body, ...others };
}

const PROXY_PAGE: FailingAnswer = {
  ...{ status: 503, headers: { 'content-type': 'text/html' } },
  body: '<html><body><h1>503 Service Unavailable</h1>No server is available.</body></html>',
};

/** Faults that pass by themselves. */
const PASSING: readonly (readonly [string, FailingAnswer])[] = [
  ['SlowDown', s3Error(503, 'SlowDown')],
  ['TooManyRequests', s3Error(429, 'TooManyRequests')],
  ['InternalError', s3Error(500, 'InternalError')],
  ['ServiceUnavailable', s3Error(503, 'ServiceUnavailable')],
  ['RequestTimeout', s3Error(400, 'RequestTimeout')],
  ['RequestTimeTooSkewed', s3Error(403, 'RequestTimeTooSkewed')],
  ['OperationAborted', s3Error(409, 'OperationAborted')],
  ['a page of a proxy', PROXY_PAGE],
  ['502 without a body', { status: 502 }],
];

/** Faults that an operator must correct, and what names them. */
const LASTING: readonly (readonly [string, FailingAnswer, RegExp])[] = [
  ['ExpiredToken', s3Error(400, 'ExpiredToken'), /^AWS_SESSION_TOKEN: .*ExpiredToken/],
  ['InvalidToken', s3Error(400, 'InvalidToken'), /^AWS_SESSION_TOKEN: .*InvalidToken/],
  [
    'a redirect to another region',
    s3Error(307, 'TemporaryRedirect', {
      headers: { ...XML, location: 'http://127.0.0.1:9/elsewhere' },
      xml: '<Region>eu-central-1</Region>',
    }),
    /^ASSET_S3_REGION: .*another region.*TemporaryRedirect/,
  ],
  [
    'a permanent redirect',
    s3Error(301, 'PermanentRedirect', { xml: '<Region>eu-central-1</Region>' }),
    /^ASSET_S3_REGION: .*PermanentRedirect/,
  ],
  [
    'a wrong region in the signature',
    s3Error(400, 'AuthorizationHeaderMalformed', { xml: '<Region>eu-central-1</Region>' }),
    /^ASSET_S3_REGION: .*AuthorizationHeaderMalformed/,
  ],
  ['AccessDenied', s3Error(403, 'AccessDenied'), /^AWS_ACCESS_KEY_ID, ASSET_S3_BUCKET: .*AccessDenied/],
  ['a full store', s3Error(507, 'InsufficientStorage'), /InsufficientStorage|said by S3/],
];

/** The key in the path or in the prefix of a request. */
const keyOf = (path: string) => /assets\/[0-9a-f]{2}\/[0-9a-f]{16}/.exec(path)?.[0] ?? '';

/** The error of an operation that failed. */
function failure(outcome: PromiseSettledResult<unknown>): AssetError {
  if (outcome.status === 'fulfilled') throw new Error('the operation did not fail');
  return outcome.reason as AssetError;
}

('missing' in server ? describe.skip : describe)('answers of an S3 in trouble', () => {
  let proxy: FailingProxy;
  let store: S3BlobStore;
  let options: S3Options;

  beforeAll(async () => {
    if ('missing' in server) return;
    const { endpoint, bucket, region, accessKeyId, secretAccessKey } = await createBucket(server);
    proxy = await startFailingProxy(endpoint);
    options = {
      ...{ bucket, region, endpoint: proxy.url, publicEndpoint: endpoint, forcePathStyle: true },
      credentials: { accessKeyId, secretAccessKey },
    };
    store = new S3BlobStore(options);
  });
  afterEach(() => void (proxy.fail = undefined));
  afterAll(async () => {
    await store?.close();
    await proxy?.close();
  });

  /**
   * Answers the next `count` requests for each key in place of the store. Requests of HEAD pass: their answers have no
   * body. Returns the number of requests by key.
   */
  const answerNext = (answer: FailingAnswer, count = 1) => {
    const answered = new Map<string, number>();
    proxy.fail = (method, path) => {
      if (method === 'HEAD') return undefined;
      const key = keyOf(path);
      const before = answered.get(key) ?? 0;
      answered.set(key, before + 1);
      return before < count ? answer : undefined;
    };
    return answered;
  };

  /** Every operation but that which sends HEAD alone, each with a key of its own. */
  async function calls(): Promise<Readonly<Record<string, () => Promise<unknown>>>> {
    const put = async () => {
      const key = newKey();
      await store.put(key, bufferedBody(bytes(1000)), TYPE);
      return key;
    };
    const begin = async () => {
      const key = newKey();
      return [key, await store.startMultipart(key, { ...TYPE, partSizeBytes: PART })] as const;
    };
    const [toRead, toDelete] = await Promise.all([put(), put()]);
    const [toFill, toList, toComplete, toAbort] = await Promise.all([begin(), begin(), begin(), begin()]);
    const part = await store.putPart(...toComplete, 1, bufferedBody(bytes(1000)));
    return {
      put: () => store.put(newKey(), bufferedBody(bytes(1000)), TYPE),
      startMultipart: () => store.startMultipart(newKey(), { ...TYPE, partSizeBytes: PART }),
      putPart: () => store.putPart(...toFill, 1, bufferedBody(bytes(1000))),
      listParts: () => store.listParts(...toList),
      completeMultipart: () => store.completeMultipart(...toComplete, [part]),
      abortMultiparts: () => store.abortMultiparts(toAbort[0]),
      read: async () => readAll(await store.read(toRead)),
      delete: () => store.delete(toDelete),
    };
  }

  /** Runs operations side by side, because most of their time is the wait before an attempt; returns their outcomes. */
  async function outcomes(made: Readonly<Record<string, () => Promise<unknown>>>) {
    const names = Object.keys(made);
    const settled = await Promise.allSettled(names.map((name) => made[name]!()));
    return settled.map((outcome, at) => [names[at]!, outcome] as const);
  }

  it.each(PASSING)('goes on after one %s', async (_, answer) => {
    const made = await calls();
    const answered = answerNext(answer);
    for (const [name, outcome] of await outcomes(made))
      expect([name, outcome]).toEqual([name, expect.objectContaining({ status: 'fulfilled' })]);
    // Each operation met the fault.
    expect(answered.size).toBe(Object.keys(made).length);
  });

  it.each(LASTING)('tells of %s, by the name of the setting', async (_, answer, line) => {
    const config = loadConfig({
      ...{ ASSET_STORE: 's3', ASSET_S3_ENDPOINT: proxy.url, ASSET_S3_BUCKET: options.bucket },
      ASSET_S3_REGION: options.region,
    });
    const made = await calls();
    answerNext(answer, 100);
    for (const [name, outcome] of await outcomes(made)) {
      const error = failure(outcome);
      expect([name, error.reason, (error.retryAfterMs ?? 0) > 0]).toEqual([name, 'STORE_UNAVAILABLE', true]);
      expect(error.message).not.toMatch(/said by S3|region|token/i);
      expect([name, explainFailure(error, config)]).toEqual([name, expect.stringMatching(line)]);
    }
  });

  it('is told as an outage while it lasts', async () => {
    const made = await calls();
    answerNext(s3Error(503, 'SlowDown'), 100);
    for (const [name, outcome] of await outcomes(made))
      expect([name, failure(outcome)]).toMatchObject([name, { reason: 'STORE_UNAVAILABLE' }]);
  });

  it.each([false, true])(
    'goes on after an InternalError in a 200 of a completion; carried out: %s',
    async (isLate) => {
      const key = newKey();
      const id = await store.startMultipart(key, { ...TYPE, partSizeBytes: PART });
      const part = await store.putPart(key, id, 1, bufferedBody(bytes(1000)));
      answerNext(s3Error(200, 'InternalError', { isLate }));
      expect(await store.completeMultipart(key, id, [part])).toBe('created');
      expect((await readAll(await store.read(key))).equals(bytes(1000))).toBe(true);

      const other = newKey();
      const otherId = await store.startMultipart(other, { ...TYPE, partSizeBytes: PART });
      const otherPart = await store.putPart(other, otherId, 1, bufferedBody(bytes(1000)));
      answerNext(s3Error(200, 'InternalError'), 100);
      expect(await rejection(store.completeMultipart(other, otherId, [otherPart]))).toMatchObject({
        reason: 'STORE_UNAVAILABLE',
      });
      proxy.fail = undefined;
      expect(await store.stat(other)).toBeUndefined();
    },
  );

  it('knows its own blob when a write was carried out and its answer was an error', async () => {
    for (const answer of [s3Error(500, 'InternalError', { isLate: true }), { ...PROXY_PAGE, isLate: true }]) {
      const key = newKey();
      answerNext(answer);
      expect(await store.put(key, bufferedBody(bytes(1000)), TYPE)).toBe('created');
      expect((await readAll(await store.read(key))).equals(bytes(1000))).toBe(true);
      answerNext(answer);
      await store.delete(key);
      expect(await store.stat(key)).toBeUndefined();
    }
  });

  it('takes no blob for missing when HEAD is answered with a status alone', async () => {
    const statuses = [301, 307, 400, 403, 405, 429, 500, 503];
    const keys = new Map<string, number>();
    for (const status of statuses) {
      const key = newKey();
      await store.put(key, bufferedBody(bytes(1000)), TYPE);
      keys.set(key, status);
    }
    proxy.fail = (method, path) => (method === 'HEAD' ? keys.get(keyOf(path)) : undefined);
    const config = loadConfig({ ASSET_STORE: 's3', ASSET_S3_BUCKET: options.bucket });
    const stats = [...keys].map(([key, status]) => [String(status), () => store.stat(key)] as const);
    for (const [status, outcome] of await outcomes(Object.fromEntries(stats))) {
      const error = failure(outcome);
      const told = [status, error.reason, (error.retryAfterMs ?? 0) > 0, explainFailure(error, config)];
      const line = expect.stringContaining(`HTTP ${status}`);
      expect(told).toEqual([status, 'STORE_UNAVAILABLE', true, line]);
      if (status === '400') expect(told.at(-1)).toContain('session token');
    }
  });

  it('fails a stream after an error, and does not take its blob for missing', async () => {
    answerNext(s3Error(503, 'SlowDown'), 100);
    const put = store.put(newKey(), streamedBody(bytes(1000)), TYPE);
    expect(await rejection(put)).toMatchObject({ reason: 'STORE_UNAVAILABLE' });
  });
});
