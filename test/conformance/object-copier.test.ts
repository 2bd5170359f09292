import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { S3BlobStore } from '../../src/storage/s3/s3-store.ts';
import type { S3Options } from '../../src/storage/s3/bucket.ts';
import { S3ObjectCopier } from '../../src/storage/s3/s3-object-copier.ts';
import { S3ObjectReader } from '../../src/storage/s3/s3-object-reader.ts';
import { startFailingProxy, type FailingProxy } from '../support/legacy/failing-proxy.ts';
import { ODD_NAMES } from '../support/legacy/contents.ts';
import { createBucket, sharedS3, sharedVersityGW } from '../support/shared-servers.ts';
import type { S3Address } from '../support/seaweedfs.ts';
import { bytes, newKey, readAll, rejection } from './blob-store/driver.ts';

const MEBIBYTE = 1024 ** 2;
const servers = [
  ['SeaweedFS', sharedS3()],
  ['VersityGW', sharedVersityGW()],
] as const;

describe.each(servers)('copies within an S3: %s', (name, server) => {
  if ('missing' in server) {
    it.skip(`not run: ${server.missing}`, () => undefined);
    return;
  }
  let client: S3Client;
  let proxy: FailingProxy;
  let from: S3Options;
  let to: S3Options;
  let reader: S3ObjectReader;
  let store: S3BlobStore;
  const copiers: S3ObjectCopier[] = [];

  beforeAll(async () => {
    proxy = await startFailingProxy(server.endpoint);
    const [old, own] = await Promise.all([createBucket(server), createBucket(server)]);
    [from, to] = [old, own].map(optionsOf) as [S3Options, S3Options];
    client = new S3Client({ ...old, credentials: old, forcePathStyle: true });
    reader = new S3ObjectReader(from);
    store = new S3BlobStore(to);
  });
  afterAll(async () => {
    client.destroy();
    for (const one of [reader, ...copiers]) one.close();
    await store.close();
    await proxy.close();
  });

  const optionsOf = ({
    bucket,
    region,
    accessKeyId,
    secretAccessKey,
  }: S3Address & { bucket: string }): S3Options => ({
    ...{ bucket, region, endpoint: proxy.url, forcePathStyle: true },
    credentials: { accessKeyId, secretAccessKey },
  });
  const copier = (sizes = {}, bucket = from.bucket) => {
    const made = new S3ObjectCopier(to, bucket, sizes);
    copiers.push(made);
    return made;
  };
  const put = (key: string, content: Buffer) =>
    client.send(new PutObjectCommand({ Bucket: from.bucket, Key: key, Body: content }));
  const sourceOf = async (key: string) => ({ key, ...(await reader.stat(key))! });
  const inParts = { maxWholeBytes: 5 * MEBIBYTE, partBytes: 5 * MEBIBYTE };
  const headers = {
    ...{ contentEncoding: 'gzip', contentLanguage: 'de', contentDisposition: 'attachment; filename="a.txt"' },
    ...{ cacheControl: 'no-cache', metadata: { 'original-filename': 'a b.txt' } },
  };
  const properties = { contentType: 'text/plain; charset=iso-8859-1', headers };

  it('copies objects under any name, with the properties given', async () => {
    const copies = copier();
    for (const [index, odd] of ODD_NAMES.entries()) {
      const [content, key] = [bytes(index * 10), newKey()];
      await put(`folder/${odd}`, content);
      expect(await copies.copy(key, await sourceOf(`folder/${odd}`), properties)).toBe('created');
      expect((await readAll(await store.read(key))).equals(content)).toBe(true);
    }
  });

  it('copies large objects in parts, with the properties given', async () => {
    const content = bytes(11 * MEBIBYTE);
    await put('large', content);
    for (const sizes of [{}, inParts]) {
      const key = newKey();
      proxy.passed.length = 0;
      expect(await copier(sizes).copy(key, await sourceOf('large'), properties)).toBe('created');
      expect(proxy.passed.filter((line) => line.includes('partNumber='))).toHaveLength(
        sizes === inParts ? 3 : 0,
      );
      expect((await readAll(await store.read(key))).equals(content)).toBe(true);
      const stored = await client.send(new GetObjectCommand({ Bucket: to.bucket, Key: key }));
      expect(stored).toMatchObject({
        ...{ ContentType: properties.contentType, ContentEncoding: 'gzip', ContentLanguage: 'de' },
        ...{ ContentDisposition: headers.contentDisposition, CacheControl: 'no-cache' },
        Metadata: expect.objectContaining(headers.metadata),
      });
      (stored.Body as NodeJS.ReadableStream & { destroy(): void }).destroy();
    }
  });

  it('copies no bytes that replaced those asked for, or that are gone', async () => {
    for (const sizes of [{}, inParts]) {
      const key = newKey();
      await put('replaced', bytes(6 * MEBIBYTE));
      const source = await sourceOf('replaced');
      await put('replaced', bytes(7 * MEBIBYTE));
      const gone = { ...source, key: 'nothing-here' };
      for (const one of [source, gone]) {
        expect(await rejection(copier(sizes).copy(key, one, properties))).toMatchObject({
          reason: 'BLOB_MISSING',
        });
      }
      expect(await store.stat(key)).toBeUndefined();
      expect(await store.listMultiparts({ prefix: 'assets/', limit: 1_000 })).toEqual([]);
    }
  });

  it('says that the store refuses where its key may not read the bucket, and where there is none', async () => {
    await put('object', bytes(10));
    const source = await sourceOf('object');
    for (const status of [403, 501]) {
      proxy.fail = (method, path, asked) => (asked['x-amz-copy-source'] === undefined ? undefined : status);
      expect([status, await copier().copy(newKey(), source, properties)]).toEqual([status, 'refused']);
    }
    proxy.fail = undefined;
    expect(await copier({}, 'no-such-bucket').copy(newKey(), source, properties)).toBe('refused');
    proxy.fail = () => 503;
    expect(await rejection(copier().copy(newKey(), source, properties))).toMatchObject({
      reason: 'STORE_UNAVAILABLE',
    });
    proxy.fail = undefined;
  });

  // VersityGW ignores the condition of a copy.
  (name === 'VersityGW' ? it.skip : it)('leaves a blob that is there alone', async () => {
    const key = newKey();
    await store.put(key, { sizeBytes: 3, chunks: [Buffer.from('own')] }, { contentType: 'text/plain' });
    expect(await copier().copy(key, await sourceOf('object'), properties)).toBe('exists');
    expect((await readAll(await store.read(key))).toString()).toBe('own');
  });
});
