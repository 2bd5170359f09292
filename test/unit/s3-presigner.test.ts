import { describe, expect, it } from '@jest/globals';
import { GetObjectCommand, S3Client, UploadPartCommand } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import fc from 'fast-check';
import { S3BlobStore } from '../../src/storage/s3/s3-store.ts';
import { S3UrlSigner, signerKindOf, SdkPresigner } from '../../src/storage/s3/presign.ts';
import { S3Signer } from '../../src/storage/s3/signature.ts';

const ACCESS_POINT = 'arn:aws:s3:eu-west-1:123456789012:accesspoint/files';
const text = (alphabet: string, minLength = 1) =>
  fc.string({ unit: fc.constantFrom(...alphabet), minLength, maxLength: 24 });
const whole = fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }).filter((one) => one.isWellFormed());
const key = fc.array(text('abcxyz0189._-'), { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));

const bucketOf = fc
  .record({
    bucket: fc.constantFrom('files', 'files.example.com', 'a-3'),
    region: fc.constantFrom('us-east-1', 'eu-central-1', 'cn-north-1'),
    endpoint: fc.constantFrom(
      ...[undefined, 'http://127.0.0.1:9000', 'https://s3.example.com', 'https://s3.example.com/under/path'],
      'http://[::1]:9000',
    ),
    publicEndpoint: fc.constantFrom(
      undefined,
      'https://public.example.com',
      'https://public.example.com:8443',
    ),
    forcePathStyle: fc.boolean(),
    credentials: fc.record({
      accessKeyId: text('ABCXYZ0189'),
      secretAccessKey: text('abcxyz/+='),
      sessionToken: fc.option(text('abcxyz0189/+='), { nil: undefined }),
      expiration: fc.option(fc.constant(new Date('2030-01-01')), { nil: undefined }),
    }),
  })
  // An address of numbers has no names below it.
  .map((one) => ({ ...one, forcePathStyle: one.forcePathStyle || /[:.][01]\b/.test(one.endpoint ?? '') }));
const lifetime = fc.record({
  issuedAt: fc.date({ min: new Date('2020-01-01'), max: new Date('2040-01-01'), noInvalidDate: true }),
  ttlSeconds: fc.integer({ min: 1, max: 604_800 }),
  grantId: whole,
});
const shown = fc.record({ contentType: whole, contentDisposition: whole, cacheControl: whole });
const part = fc.record({
  uploadId: whole,
  partNumber: fc.integer({ min: 1, max: 10_000 }),
  sizeBytes: fc.integer({ min: 0, max: 5 * 2 ** 30 }),
});

type Bucket = typeof bucketOf extends fc.Arbitrary<infer T> ? T : never;

function clientOf({ region, endpoint, forcePathStyle, credentials: given }: Bucket): S3Client {
  const { accessKeyId, secretAccessKey, sessionToken, expiration } = given;
  const credentials = {
    ...{ accessKeyId, secretAccessKey },
    ...(sessionToken !== undefined && { sessionToken }),
    ...(expiration && { expiration }),
  };
  return new S3Client({ region, forcePathStyle, credentials, ...(endpoint !== undefined && { endpoint }) });
}

/** The same bucket with each signer. */
function signersOf(one: Bucket) {
  const client = clientOf(one);
  const of = (signer: 'fast' | 'sdk') =>
    new S3UrlSigner(client, { bucket: one.bucket, endpoint: one.publicEndpoint, signer });
  return { fast: of('fast'), sdk: of('sdk') };
}

describe('the fast signer of URLs', () => {
  it('gives byte for byte the URLs for reading that the presigner of the SDK gives', async () => {
    await fc.assert(
      fc.asyncProperty(bucketOf, key, lifetime, shown, async (bucket, path, how, headers) => {
        const { fast, sdk } = signersOf(bucket);
        const options = { ...how, ...headers };
        expect(await fast.sign(path, options)).toEqual(await sdk.sign(path, options));
      }),
      { numRuns: 150 },
    );
  });

  it('gives byte for byte the URLs for parts that the presigner of the SDK gives', async () => {
    await fc.assert(
      fc.asyncProperty(bucketOf, key, lifetime, part, async (bucket, path, how, one) => {
        const { fast, sdk } = signersOf(bucket);
        expect(await fast.signPart(path, one, how)).toEqual(await sdk.signPart(path, one, how));
      }),
      { numRuns: 150 },
    );
  });

  it('gives byte for byte the query that the presigner of the SDK gives for any request', async () => {
    const names = whole.filter((name) => !/^x-amz-|^__proto__$/i.test(name));
    const headers = fc.dictionary(
      text('abcxyz-').map((one) => `x-test-${one}`),
      text('abc ;="\'!', 0),
      { maxKeys: 3 },
    );
    // The SDK writes a query in the order of the names as they are, the fast signer in that of the signature: as they are escaped.
    const query = fc.dictionary(names, whole, { maxKeys: 4 }).filter((one) => {
      const sorted = Object.keys(one).sort();
      const escaped = [...sorted].sort((a, b) => (encodeURIComponent(a) < encodeURIComponent(b) ? -1 : 1));
      return sorted.every((name, i) => name === escaped[i] && /^[a-z0-9.~_-]/.test(name));
    });
    await fc.assert(
      fc.asyncProperty(bucketOf, key, query, headers, lifetime, async (bucket, path, asked, extra, how) => {
        const client = clientOf(bucket);
        const where = { region: bucket.region, service: 's3' };
        const fast = new S3Signer({ credentials: client.config.credentials, ...where });
        const request = {
          ...{ method: 'PUT', path: `/${path}`, query: asked },
          headers: { ...extra, host: 'files.example.com:9000' },
        };
        const signed = await fast.presign(request, how.issuedAt, how.ttlSeconds);
        const expected = await new SdkPresigner(client, where).presign(request, how.issuedAt, how.ttlSeconds);
        expect(signed).toEqual(expected);
      }),
      { numRuns: 150 },
    );
  });
});

describe('URLs of what the fast signer is not used for', () => {
  const credentials = { accessKeyId: 'ID', secretAccessKey: 'secret' };
  const region = 'eu-west-1';
  const lifetimeOf = { issuedAt: new Date('2026-11-29T10:00:00Z'), ttlSeconds: 600, grantId: 'grant' };
  const options = {
    ...lifetimeOf,
    contentType: 'image/png',
    contentDisposition: 'inline',
    cacheControl: 'private',
  };

  const special = [
    ['an access point', ACCESS_POINT, {}, 'files-123456789012.s3-accesspoint.eu-west-1.amazonaws.com'],
    ['an alias of an access point', 'files-abc-s3alias', {}, 'files-abc-s3alias.s3.eu-west-1.amazonaws.com'],
    ['dual stack', 'files', { dualStack: true }, 'files.s3.dualstack.eu-west-1.amazonaws.com'],
    ['acceleration', 'files', { accelerate: true }, 'files.s3-accelerate.amazonaws.com'],
    [
      ...['acceleration over dual stack', 'files'],
      { accelerate: true, dualStack: true },
      'files.s3-accelerate.dualstack.amazonaws.com',
    ],
    [
      ...['an access point over dual stack', ACCESS_POINT],
      { dualStack: true },
      'files-123456789012.s3-accesspoint.dualstack.eu-west-1.amazonaws.com',
    ],
  ] as [string, string, { dualStack?: boolean; accelerate?: boolean }, string][];

  it.each(special)('are those of the SDK for %s', async (_what, bucket, given, host) => {
    const store = new S3BlobStore({ bucket, region, credentials, ...given });
    const client = new S3Client({
      ...{ region, credentials },
      useDualstackEndpoint: given.dualStack ?? false,
      useAccelerateEndpoint: given.accelerate ?? false,
      requestChecksumCalculation: 'WHEN_REQUIRED',
    });
    expect(await signerKindOf(client, bucket)).toBe('sdk');
    const how = { signingDate: lifetimeOf.issuedAt, expiresIn: lifetimeOf.ttlSeconds };
    const get = new GetObjectCommand({
      ...{ Bucket: bucket, Key: 'a/key', ResponseContentType: options.contentType },
      ...{
        ResponseContentDisposition: options.contentDisposition,
        ResponseCacheControl: options.cacheControl,
      },
    });
    // What getSignedUrl() adds by itself, and what only we add.
    const comparable = (url: string) => {
      const { origin, pathname, searchParams } = new URL(url);
      for (const name of ['x-id', 'x-grant', 'X-Amz-Signature', 'x-amz-checksum-mode'])
        searchParams.delete(name);
      return { origin, pathname, query: Object.fromEntries(searchParams) };
    };
    const { url } = await store.signUrl('a/key', options);
    expect(new URL(url).host).toBe(host);
    expect(comparable(url)).toEqual(comparable(await getSignedUrl(client, get, how)));
    const sent = new UploadPartCommand({
      Bucket: bucket,
      Key: 'a/key',
      UploadId: 'u',
      PartNumber: 2,
      ContentLength: 5,
    });
    const signed = await store.signPart('a/key', '0123456789abcdef01234567.u', 2, {
      ...lifetimeOf,
      sizeBytes: 5,
    });
    const expected = comparable(await getSignedUrl(client, sent, how));
    expect(comparable(signed.url)).toMatchObject({ origin: expected.origin, pathname: expected.pathname });
    expect(new URL(signed.url).searchParams.get('X-Amz-SignedHeaders')).toBe('content-length;host');
    await store.close();
  });

  it.each([
    ['a bucket of AWS', 'files', undefined],
    ['another S3', 'files', 'http://127.0.0.1:9000'],
  ])('are not those of %s', async (_what, bucket, endpoint) => {
    expect(await signerKindOf(new S3Client({ region, credentials }), bucket, endpoint)).toBe('fast');
  });
});
