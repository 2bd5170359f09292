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

  /** Answers the next `count` requests other than HEAD, whose answers have no body. */
  const answerNext = (answer: FailingAnswer, count = 1) => {
    let left = count;
    proxy.fail = (method) => (method === 'HEAD' || left-- <= 0 ? undefined : answer);
  };

  /** Every operation but that which sends HEAD alone. */
  async function calls(): Promise<Readonly<Record<string, () => Promise<unknown>>>> {
    const [key, multipart, toComplete] = [newKey(), newKey(), newKey()];
    await store.put(key, bufferedBody(bytes(1000)), TYPE);
    const id = await store.startMultipart(multipart, { ...TYPE, partSizeBytes: PART });
    const ending = await store.startMultipart(toComplete, { ...TYPE, partSizeBytes: PART });
    const part = await store.putPart(toComplete, ending, 1, bufferedBody(bytes(1000)));
    return {
      put: () => store.put(newKey(), bufferedBody(bytes(1000)), TYPE),
      startMultipart: () => store.startMultipart(newKey(), { ...TYPE, partSizeBytes: PART }),
      putPart: () => store.putPart(multipart, id, 1, bufferedBody(bytes(1000))),
      listParts: () => store.listParts(multipart, id),
      completeMultipart: () => store.completeMultipart(toComplete, ending, [part]),
      abortMultiparts: () => store.abortMultiparts(multipart),
      read: async () => readAll(await store.read(key)),
      delete: () => store.delete(key),
    };
  }

  it.each(PASSING)('goes on after one %s', async (_, answer) => {
    for (const [name, call] of Object.entries(await calls())) {
      answerNext(answer);
      const result = await call().then(
        () => 'ok',
        (error: unknown) => error,
      );
      expect([name, result]).toEqual([name, 'ok']);
    }
  });

  it.each(LASTING)('tells of %s, by the name of the setting', async (_, answer, line) => {
    const config = loadConfig({
      ...{ ASSET_STORE: 's3', ASSET_S3_ENDPOINT: proxy.url, ASSET_S3_BUCKET: options.bucket },
      ASSET_S3_REGION: options.region,
    });
    for (const [name, call] of Object.entries(await calls())) {
      answerNext(answer, 100);
      const error = (await rejection(call())) as AssetError;
      expect([name, error.reason, (error.retryAfterMs ?? 0) > 0]).toEqual([name, 'STORE_UNAVAILABLE', true]);
      expect(error.message).not.toMatch(/said by S3|region|token/i);
      expect([name, explainFailure(error, config)]).toEqual([name, expect.stringMatching(line)]);
    }
  });

  it('is told as an outage while it lasts', async () => {
    for (const [name, call] of Object.entries(await calls())) {
      answerNext(s3Error(503, 'SlowDown'), 100);
      expect([name, await rejection(call())]).toMatchObject([name, { reason: 'STORE_UNAVAILABLE' }]);
    }
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

  it.each([301, 307, 400, 403, 405, 429, 500, 503])(
    'takes no blob for missing when HEAD is answered with %d alone',
    async (status) => {
      const key = newKey();
      await store.put(key, bufferedBody(bytes(1000)), TYPE);
      proxy.fail = (method) => (method === 'HEAD' ? status : undefined);
      const error = (await rejection(store.stat(key))) as AssetError;
      expect([error.reason, (error.retryAfterMs ?? 0) > 0]).toEqual(['STORE_UNAVAILABLE', true]);
      const config = loadConfig({ ASSET_STORE: 's3', ASSET_S3_BUCKET: options.bucket });
      expect(explainFailure(error, config)).toContain(`HTTP ${status}`);
      if (status === 400) expect(explainFailure(error, config)).toContain('session token');
    },
  );

  it('fails a stream after an error, and does not take its blob for missing', async () => {
    answerNext(s3Error(503, 'SlowDown'), 100);
    const put = store.put(newKey(), streamedBody(bytes(1000)), TYPE);
    expect(await rejection(put)).toMatchObject({ reason: 'STORE_UNAVAILABLE' });
  });
});
