import { describe, expect, it } from '@jest/globals';
import { SignatureV4 } from '@smithy/signature-v4';
import fc from 'fast-check';
import { createHash, createHmac } from 'node:crypto';
import { S3Signer } from '../../src/storage/s3/signature.ts';

/** SHA-256 as the signer of the SDK wants it. */
class Sha256 {
  readonly #hash;

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', secret as Buffer);
  }

  update(data: Uint8Array | string): void {
    this.#hash.update(data);
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(new Uint8Array(this.#hash.digest()));
  }

  reset(): void {
    throw new Error('not needed');
  }
}

const text = (alphabet: string, minLength = 1) =>
  fc.string({ unit: fc.constantFrom(...alphabet), minLength, maxLength: 24 });
const letters = 'abcxyz0189';
const name = text(`${letters}-`).filter((one) => !one.startsWith('-'));
const whole = fc.string({ unit: 'binary', maxLength: 60 }).filter((one) => one.isWellFormed());
// The SDK keeps queries in objects, where this name is none like the others.
const queryName = whole.filter((one) => one !== '' && one !== '__proto__');

const signing = fc.record({
  method: fc.constantFrom('GET', 'PUT'),
  host: fc.constantFrom('s3.example.com', 'files.s3.eu-central-1.amazonaws.com', '127.0.0.1'),
  port: fc.constantFrom(undefined, 9000),
  key: fc.array(text(`${letters}._-`), { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/')),
  query: fc.dictionary(fc.oneof(name, queryName), whole, { maxKeys: 5 }),
  headers: fc.dictionary(
    name.map((one) => `x-test-${one}`),
    text(`${letters} ;="',!`, 0),
    { maxKeys: 4 },
  ),
  region: fc.constantFrom('us-east-1', 'eu-central-1'),
  accessKeyId: text('ABCXYZ0189'),
  secretAccessKey: text(`${letters}/+=`),
  sessionToken: fc.option(text(`${letters}/+=`), { nil: undefined }),
  date: fc.date({ min: new Date('2020-01-01'), max: new Date('2040-01-01'), noInvalidDate: true }),
  ttlSeconds: fc.integer({ min: 1, max: 604_800 }),
});

type Signing = typeof signing extends fc.Arbitrary<infer T> ? T : never;

function bothOf(one: Signing) {
  const { accessKeyId, secretAccessKey, sessionToken, region, host, port, method, query, headers } = one;
  const credentials = { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) };
  const hostHeader = port === undefined ? host : `${host}:${port}`;
  const path = `/bucket/${one.key}`;
  return {
    ours: new S3Signer({ credentials: () => Promise.resolve(credentials), region }),
    request: { method, path, query, headers: { ...headers, host: hostHeader } },
    theirs: new SignatureV4({ service: 's3', region, credentials, sha256: Sha256, uriEscapePath: false }),
    theirRequest: {
      ...{ method, protocol: 'https:', hostname: host, path, query: { ...query } },
      ...(port !== undefined && { port }),
    },
  };
}

describe('the signature of S3 requests', () => {
  it('is the one of the AWS SDK in the headers of any request', async () => {
    await fc.assert(
      fc.asyncProperty(signing, async (one) => {
        const { ours, request, theirs, theirRequest } = bothOf(one);
        const headers = { ...request.headers, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' };
        const expected = await theirs.sign({ ...theirRequest, headers }, { signingDate: one.date });
        expect(await ours.sign(request, one.date)).toEqual(expected.headers);
      }),
      { numRuns: 300 },
    );
  });

  it('is the one of the AWS SDK in the query of any URL', async () => {
    await fc.assert(
      fc.asyncProperty(signing, async (one) => {
        const { ours, request, theirs, theirRequest } = bothOf(one);
        const query = { ...theirRequest.query, 'X-Amz-Content-Sha256': 'UNSIGNED-PAYLOAD' };
        // What the SDK's presigner for S3 tells its signer: the body of a URL is never signed.
        const headers = { ...request.headers, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' };
        const expected = await theirs.presign(
          { ...theirRequest, query, headers },
          {
            signingDate: one.date,
            expiresIn: one.ttlSeconds,
            unsignableHeaders: new Set(['x-amz-content-sha256']),
            unhoistableHeaders: new Set(['x-amz-content-sha256']),
          },
        );
        const signed = await ours.presign(request, one.date, one.ttlSeconds);
        expect(Object.fromEntries(new URLSearchParams(signed.query))).toEqual(expected.query);
      }),
      { numRuns: 300 },
    );
  });

  it('follows credentials that change, from one request to the next', async () => {
    let secretAccessKey = 'first';
    const signer = new S3Signer({
      credentials: () => Promise.resolve({ accessKeyId: 'same', secretAccessKey }),
      region: 'us-east-1',
    });
    const request = { method: 'GET', path: '/bucket/key', query: {}, headers: { host: 'example.com' } };
    const sign = async () => (await signer.presign(request, new Date(0), 60)).query;
    const first = await sign();
    expect(await sign()).toBe(first);
    secretAccessKey = 'second';
    expect(await sign()).not.toBe(first);
  });

  it.each([
    ['as asked', 'have no end', undefined, 60_000],
    ['as asked', 'end later', new Date(60_001), 60_000],
    ['with the credentials', 'end sooner', new Date(59_000), 59_000],
  ])('ends %s where those %s', async (_how, _when, expiration, end) => {
    const signer = new S3Signer({
      credentials: () => Promise.resolve({ accessKeyId: 'id', secretAccessKey: 'secret', expiration }),
      region: 'us-east-1',
    });
    const request = { method: 'GET', path: '/bucket/key', query: {}, headers: { host: 'example.com' } };
    const { query, expireTime } = await signer.presign(request, new Date(0), 60);
    expect(expireTime).toEqual(new Date(end));
    expect(new URLSearchParams(query).get('X-Amz-Expires')).toBe('60');
  });
});
