import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createBffClient } from '@asset-service/bff';
import type { ConnectError } from '@connectrpc/connect';
import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import sharp, { type Sharp } from 'sharp';
import type { File } from '@asset-service/contract/asset/v1/file_pb.js';
import { upload, type AssetClient } from '../e2e/support/calls.ts';
import { checkedFailure, failureOf } from '../e2e/support/failures.ts';
import { eventually } from '../support/eventually.ts';
import { openHouse, type House } from './support/house.ts';

const CHROME = 'image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8';

/** A picture of two colours, left and right. */
function picture(width: number, height: number, alpha = 1): Sharp {
  const right = { r: 20, g: 40, b: 200, alpha };
  const half = {
    width: Math.ceil(width / 2),
    height,
    channels: 4 as const,
    background: { r: 220, g: 30, b: 20 },
  };
  return sharp({ create: { width, height, channels: 4, background: right } }).composite([
    { input: { create: half }, left: 0, top: 0 },
  ]);
}

describe('a variant', () => {
  let house: House;
  let client: AssetClient;
  let photo: File;

  beforeAll(async () => {
    const variants = {
      thumb: { width: 64, height: 64 },
      wide: { width: 300, fit: 'inside', format: 'webp' },
      early: { width: 32, height: 32, format: 'jpeg', at: 'upload' },
    };
    const usages = {
      avatar: { variants, read: ['owner'], retentionSeconds: 0 },
      eager: { variants: { early: variants.early } },
      plain: {},
    };
    house = await openHouse({ policies: { usages, default: {} }, identities: true });
    client = house.client;
    const jpeg = picture(600, 400)
      .withMetadata({ orientation: 6 })
      .withExif({
        IFD0: { Copyright: 'secret-copyright' },
        IFD3: { GPSLatitude: '48/1 8/1 0/1', GPSLatitudeRef: 'N' },
      });
    photo = await upload(client, await jpeg.jpeg().toBuffer(), {
      file: { name: 'me.jpg', usage: 'avatar', owner: 'anna' },
    });
  });

  afterAll(() => house?.close());

  const ask = (id: string, variant: string, accept = '', who: AssetClient = client) =>
    who.getFileUrl({ source: { case: 'fileId', value: id }, variant, accept });

  const got = async (url: string) => Buffer.from(await (await fetch(url)).arrayBuffer());

  const uploaded = (content: Uint8Array, usage = 'avatar') =>
    upload(client, Buffer.from(content), { file: { usage, owner: 'anna' } });

  it('is made of an image, upright and without metadata, and served by a URL', async () => {
    const answer = await ask(photo.id, 'thumb');
    expect(answer.contentType).toBe('image/jpeg');
    const response = await fetch(answer.url);
    expect(response.headers.get('content-type')).toBe('image/jpeg');
    expect(response.headers.get('content-disposition')).toContain('me.jpeg');
    const bytes = Buffer.from(await response.arrayBuffer());
    expect(bytes).toHaveLength(Number(answer.sizeBytes));
    const { exif, icc, width, height, space } = await sharp(bytes).metadata();
    expect({ exif, icc, width, height, space }).toEqual({ width: 64, height: 64, space: 'srgb' });
    // Turned by the orientation: what was left is at the top.
    const { data } = await sharp(bytes).raw().toBuffer({ resolveWithObject: true });
    expect(data[0]).toBeGreaterThan(150);
    expect(data[data.length - 3]).toBeLessThan(100);
  });

  it.each([
    ['', 'jpeg'],
    [CHROME, 'avif'],
    ['image/webp,*/*', 'webp'],
    ['image/avif;q=0.5,image/webp', 'webp'],
    ['image/webp;q=0,image/avif;q=0', 'jpeg'],
    ['text/html', 'jpeg'],
    ['*/*', 'jpeg'],
  ])('has the format that the browser accepts: %s', async (accept, format) => {
    const answer = await ask(photo.id, 'thumb', accept);
    expect(answer.contentType).toBe(`image/${format}`);
    const { format: actual } = await sharp(await got(answer.url)).metadata();
    expect(actual).toBe(format === 'avif' ? 'heif' : format);
  });

  it('is a PNG where the image has transparency and the browser does not accept WebP', async () => {
    const file = await uploaded(await picture(100, 100, 0.2).png().toBuffer());
    expect((await ask(file.id, 'thumb')).contentType).toBe('image/png');
    const opaque = await uploaded(await picture(100, 100).png().toBuffer());
    expect((await ask(opaque.id, 'thumb')).contentType).toBe('image/jpeg');
  });

  it('keeps the proportions if only one side is given, and is never enlarged', async () => {
    const [large, small] = await Promise.all([
      uploaded(await picture(900, 300).png().toBuffer()),
      uploaded(await picture(90, 30).png().toBuffer()),
    ]);
    for (const [file, width, height] of [
      [large, 300, 100],
      [small, 90, 30],
    ] as const) {
      const { url, contentType } = await ask(file.id, 'wide');
      expect(contentType).toBe('image/webp');
      expect(await sharp(await got(url)).metadata()).toMatchObject({ width, height });
    }
  });

  it('is downloaded through the service', async () => {
    const messages = [];
    for await (const message of client.downloadFile({ fileId: photo.id, variant: 'thumb' }))
      messages.push(message);
    const bytes = await buffer(Readable.from(messages.map(({ data }) => data?.content ?? new Uint8Array())));
    expect(messages[0]).toMatchObject({ contentType: 'image/jpeg', sizeBytes: BigInt(bytes.length) });
    expect(messages[0]!.file!.sizeBytes).toBe(photo.sizeBytes);
    expect(await sharp(bytes).metadata()).toMatchObject({ width: 64, height: 64 });
  });

  it('is read by the clients, whose checks are those of the variant', async () => {
    const bff = createBffClient({
      baseUrl: house.url,
      transport: 'connect',
      token: await house.token({ sub: 'reader', scope: 'asset:read' }),
    });
    try {
      const url = await bff.fileUrl(photo.id, { variant: 'thumb', accept: CHROME });
      expect(url.contentType).toBe('image/avif');
      const many = await bff.fileUrls([photo.id], { variant: 'thumb', accept: CHROME });
      expect(many[0]!.url!.contentType).toBe('image/avif');
      const { file, bytes } = await bff.downloadBytes(photo.id, { variant: 'thumb', accept: 'image/webp' });
      expect(file).toMatchObject({ id: photo.id, contentType: 'image/webp', sizeBytes: bytes.length });
      expect(await sharp(bytes).metadata()).toMatchObject({ format: 'webp', width: 64 });
      const record = await bff.getFile(photo.id);
      expect([record.thumbhash!.length > 4, record.variants]).toEqual([true, ['early', 'thumb', 'wide']]);
    } finally {
      bff.close();
    }
  });

  it('gives the file a thumbhash', async () => {
    const file = await uploaded(await picture(120, 80).png().toBuffer());
    const before = await client.getFile({ fileId: file.id });
    expect(before.variants).toEqual(['early', 'thumb', 'wide']);
    await ask(file.id, 'thumb');
    const { thumbhash } = await client.getFile({ fileId: file.id });
    expect(thumbhash.length).toBeGreaterThan(4);
  });

  it('is private like the file: permission is checked before anything is told', async () => {
    const other = await house.as({ sub: 'eve' });
    const owner = await house.as({ sub: 'anna' });
    for (const variant of ['thumb', 'no-such']) {
      expect(await failureOf(ask(photo.id, variant, '', other))).toMatchObject({
        reason: 'PERMISSION_DENIED',
      });
    }
    expect((await ask(photo.id, 'thumb', '', owner)).contentType).toBe('image/jpeg');
  });

  it('must be one that the usage has', async () => {
    expect(await failureOf(ask(photo.id, 'large'))).toMatchObject({
      ...{ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID', fields: ['variant'] },
      message: expect.stringContaining('early, thumb, wide'),
    });
    const plain = await uploaded(await picture(10, 10).png().toBuffer(), 'plain');
    expect(await failureOf(ask(plain.id, 'thumb'))).toMatchObject({ reason: 'FIELD_INVALID' });
  });

  it('cannot be made of a file that is no image', async () => {
    const text = await uploaded(Buffer.from('no image'));
    expect(await failureOf(ask(text.id, 'thumb'))).toMatchObject({
      ...{ code: 'FAILED_PRECONDITION', reason: 'VARIANT_IMPOSSIBLE' },
      metadata: { file_id: text.id, variant: 'thumb', problem: 'not-an-image' },
    });
  });

  it('is made once for callers at the same time, and at upload if the policy says so', async () => {
    const file = await uploaded(await picture(300, 300).png().toBuffer());
    const urls = await Promise.all(Array.from({ length: 8 }, () => ask(file.id, 'thumb')));
    expect(new Set(urls.map(({ url }) => url)).size).toBe(1);
    const eager = await uploaded(await picture(50, 50).png().toBuffer(), 'eager');
    await eventually(async () => {
      const found = (await house.blobPaths()).filter(
        (path) => path.includes('-jpeg/') && path.includes(eager.id),
      );
      expect(found).toHaveLength(1);
    });
  });

  it('waits for its turn, but not in a queue without end', async () => {
    const small = await openHouse({
      policies: { default: { variants: { thumb: { width: 20 } } } },
      env: { ASSET_VARIANT_CONCURRENCY: '1', ASSET_VARIANT_QUEUE: '1' },
    });
    try {
      const images = await Promise.all(
        [10, 11, 12, 13, 14].map((size) => picture(size, size).png().toBuffer()),
      );
      const files = await Promise.all(images.map((image) => upload(small.client, Buffer.from(image))));
      const outcomes = await Promise.all(
        files.map(({ id }) =>
          ask(id, 'thumb', '', small.client).then(
            () => undefined,
            (error: unknown) => error,
          ),
        ),
      );
      const refused = outcomes.filter((outcome) => outcome !== undefined);
      expect(refused).toHaveLength(3);
      expect(checkedFailure(refused[0] as ConnectError)).toMatchObject({
        ...{ code: 'RESOURCE_EXHAUSTED', reason: 'RATE_LIMITED', metadata: { limit: 'variants' } },
        retryMs: 2_000,
      });
      for (const { id } of files) {
        await eventually(async () =>
          expect((await ask(id, 'thumb', '', small.client)).contentType).toBe('image/jpeg'),
        );
      }
    } finally {
      await small.close();
    }
  });

  it('is removed with the file', async () => {
    const file = await uploaded(await picture(40, 40).png().toBuffer());
    await ask(file.id, 'thumb', CHROME);
    const stored = async () => (await house.blobPaths()).filter((path) => path.includes(file.id));
    expect((await stored()).length).toBeGreaterThan(2);
    await client.deleteFile({ fileId: file.id });
    expect(await failureOf(ask(file.id, 'thumb'))).toMatchObject({ reason: 'FILE_DELETED' });
    await house.sweep();
    expect(await stored()).toEqual([]);
  });
});
