import { beforeAll, describe, expect, it } from '@jest/globals';
import { gzipSync } from 'node:zlib';
import type { BlobStore, SignedUrlOptions } from '../../../src/storage/blob-store.ts';
import { bufferedBody, bytes, itNeeds, newKey } from './driver.ts';
import type { Driver, OpenedStore } from './driver.ts';

/** URLs for readers that do not know the service. */
export function describeSignedUrls(driver: Driver, opened: () => OpenedStore): void {
  describe('signed URLs', () => {
    const store = () => opened().store;
    const key = newKey();
    const data = bytes(10_000);

    const options = (changes: Partial<SignedUrlOptions> = {}): SignedUrlOptions => ({
      issuedAt: new Date(Math.floor(Date.now() / 60_000) * 60_000),
      ttlSeconds: 3600,
      contentType: 'image/png',
      contentDisposition: `attachment; filename="a (1)'*.png"; filename*=UTF-8''%C3%A4%20(1)%27%2A.png`,
      cacheControl: 'private, max-age=3600, immutable',
      grantId: 'grant-1',
      ...changes,
    });

    const signedBy = async (by: BlobStore, ...args: Parameters<BlobStore['signUrl']>) =>
      (await by.signUrl(...args)).url;
    const signed = (...args: Parameters<BlobStore['signUrl']>) => signedBy(store(), ...args);

    beforeAll(async () => {
      await store().put(key, bufferedBody(data), { contentType: 'text/html' });
    });

    it('are equal for equal arguments, and different for different ones', async () => {
      const url = await signed(key, options());
      const again = opened().reopen();
      expect(await signed(key, options())).toBe(url);
      expect(await signedBy(again, key, options())).toBe(url);
      await again.close();
      const others = await Promise.all([
        signed(newKey(), options()),
        signed(key, options({ ttlSeconds: 3601 })),
        signed(key, options({ issuedAt: new Date(0) })),
        signed(key, options({ contentType: 'image/gif' })),
        signed(key, options({ contentDisposition: 'inline' })),
        signed(key, options({ cacheControl: 'no-store' })),
        signed(key, options({ grantId: 'grant-2' })),
      ]);
      expect(new Set([url, ...others]).size).toBe(8);
      expect(new URL(url).searchParams.get('x-grant')).toBe('grant-1');
    });

    it('say when they end', async () => {
      const { expireTime } = await store().signUrl(key, options({ issuedAt: new Date(86_400_000) }));
      expect(expireTime).toEqual(new Date(86_400_000 + 3_600_000));
    });

    itNeeds(driver, 'serves-signed-urls', 'serve the blob with the headers asked for', async () => {
      const { contentType, contentDisposition, cacheControl } = options();
      const answer = await fetch(await signed(key, options()));
      expect(answer.status).toBe(200);
      expect(answer.headers.get('content-type')).toBe(contentType);
      expect(answer.headers.get('content-disposition')).toBe(contentDisposition);
      expect(answer.headers.get('cache-control')).toBe(cacheControl);
      expect(Buffer.from(await answer.arrayBuffer()).equals(data)).toBe(true);
    });

    itNeeds(driver, 'keeps-headers', 'serve the headers that a blob was stored with', async () => {
      const headers = {
        ...{ contentEncoding: 'gzip', contentLanguage: 'de', cacheControl: 'no-store' },
        contentDisposition: `attachment; filename="two  blanks (1)'*.css"`,
        metadata: { 'original-filename': 'a b.css', sum: '1' },
      };
      const packed = gzipSync('body {}');
      const [whole, inParts] = [newKey(), newKey()];
      await store().put(whole, bufferedBody(packed), { contentType: 'text/css', headers });
      const partSizeBytes = driver.partSizeBytes;
      const id = await store().startMultipart(inParts, { contentType: 'text/css', headers, partSizeBytes });
      const part = await store().putPart(inParts, id, 1, bufferedBody(packed));
      await store().completeMultipart(inParts, id, [part]);
      for (const one of [whole, inParts]) {
        const answer = await fetch(await signed(one, options({ contentType: 'text/css' })));
        // fetch undoes the encoding, as browsers do.
        expect(await answer.text()).toBe('body {}');
        const names = [
          'content-encoding',
          'content-language',
          'x-amz-meta-original-filename',
          'x-amz-meta-sum',
        ];
        expect(names.map((name) => answer.headers.get(name))).toEqual(['gzip', 'de', 'a b.css', '1']);
        // Those of the URL win.
        expect(answer.headers.get('cache-control')).toBe(options().cacheControl);
        expect(await store().headersOf(one)).toEqual(headers);
      }
    });

    itNeeds(driver, 'keeps-headers', 'have no headers of a blob that has none, or is deleted', async () => {
      const [none, deleted] = [newKey(), newKey()];
      const properties = { contentType: 'text/css', headers: { contentLanguage: 'de' } };
      await store().put(none, bufferedBody(data), { contentType: 'text/css' });
      await store().put(deleted, bufferedBody(data), properties);
      expect(await store().put(deleted, bufferedBody(data), { contentType: 'text/css' })).toBe('exists');
      expect(await store().headersOf(deleted)).toEqual(properties.headers);
      expect(
        (await store().listBlobs({ prefix: '', after: '', limit: 1_000 })).map(({ key }) => key),
      ).toContain(deleted);
      await store().delete(deleted);
      for (const one of [none, deleted, newKey()]) expect(await store().headersOf(one)).toEqual({});
      await store().put(deleted, bufferedBody(data), { contentType: 'text/css' });
      expect(await store().headersOf(deleted)).toEqual({});
    });

    itNeeds(driver, 'serves-signed-urls', 'serve byte ranges', async () => {
      const url = await signed(key, options());
      for (const [range, from, to] of [
        ['bytes=0-0', 0, 1],
        ['bytes=100-199', 100, 200],
        ['bytes=9990-', 9990, 10_000],
        ['bytes=-10', 9990, 10_000],
        ['bytes=-20000', 0, 10_000],
        ['bytes=9000-20000', 9000, 10_000],
      ] as const) {
        const answer = await fetch(url, { headers: { range } });
        expect(answer.status).toBe(206);
        expect(answer.headers.get('content-range')).toBe(`bytes ${from}-${to - 1}/10000`);
        expect(Buffer.from(await answer.arrayBuffer()).equals(data.subarray(from, to))).toBe(true);
      }
      expect((await fetch(url, { headers: { range: 'bytes=10000-' } })).status).toBe(416);
    });

    itNeeds(driver, 'serves-signed-urls', 'obey conditions', async () => {
      const url = await signed(key, options());
      const etag = (await fetch(url)).headers.get('etag')!;
      for (const [headers, status] of [
        [{ 'if-match': etag }, 200],
        [{ 'if-match': '*' }, 200],
        [{ 'if-match': '"other"' }, 412],
        [{ 'if-match': `W/${etag}` }, 412],
        [{ 'if-match': '"other"', range: 'bytes=20000-' }, 412],
        [{ 'if-none-match': etag }, 304],
        [{ 'if-none-match': '"other"' }, 200],
        [{ 'if-none-match': etag, range: 'bytes=0-9' }, 304],
        [{ 'if-match': etag, range: 'bytes=0-9' }, 206],
      ] as const) {
        expect([headers, (await fetch(url, { headers })).status]).toEqual([headers, status]);
      }
    });

    itNeeds(driver, 'head-by-signed-url', 'answer HEAD', async () => {
      const answer = await fetch(await signed(key, options()), { method: 'HEAD' });
      expect(answer.status).toBe(200);
      expect(answer.headers.get('content-length')).toBe('10000');
    });

    itNeeds(driver, 'serves-signed-urls', 'are useless once anything in them is changed', async () => {
      const url = new URL(await signed(key, options()));
      const changed = [...url.searchParams.keys()].map((name) => {
        const one = new URL(url);
        const value = one.searchParams.get(name)!;
        one.searchParams.set(
          name,
          value.replace(/.$/, (last) => (last === '1' ? '2' : '1')),
        );
        return one;
      });
      const otherPath = new URL(url);
      otherPath.pathname = otherPath.pathname.replace(/.$/, (last) => (last === '1' ? '2' : '1'));
      const added = new URL(url);
      added.searchParams.set('response-content-language', 'de');
      const removed = new URL(url);
      removed.searchParams.delete('response-content-disposition');
      const bare = new URL(url);
      bare.search = '';
      const less = [removed, bare].filter(({ href }) => href !== url.href);
      for (const one of [...changed, otherPath, added, ...less]) {
        const answer = await fetch(one);
        expect([one.href, answer.status >= 400 && answer.status < 404]).toEqual([one.href, true]);
      }
      expect((await fetch(otherPath)).status).toBe(403);
      for (const method of ['PUT', 'DELETE']) {
        const answer = await fetch(url, { method, ...(method === 'PUT' && { body: 'x' }) });
        expect([403, 405]).toContain(answer.status);
      }
    });

    itNeeds(driver, 'serves-signed-urls', 'end when their time is over', async () => {
      const past = new Date((Math.floor(Date.now() / 1000) - 100) * 1000);
      const over = await signed(key, options({ issuedAt: past, ttlSeconds: 98 }));
      expect((await fetch(over)).status).toBe(403);
      const running = await signed(key, options({ issuedAt: past, ttlSeconds: 400 }));
      expect((await fetch(running)).status).toBe(200);
    });
  });
}
