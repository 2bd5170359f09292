import { describe, expect, it } from '@jest/globals';
import { request } from 'node:http';
import type { BlobPart } from '../../../src/storage/blob.ts';
import type { SignedPut } from '../../../src/storage/blob-store.ts';
import { bufferedBody, bytes, itNeeds, newKey, readAll, rejection, streamOf } from './driver.ts';
import type { Driver, OpenedStore } from './driver.ts';

const TYPE = { contentType: 'application/octet-stream' };

/** Parts that callers send to the store directly, and how the store lists them. */
export function describeSignedParts(driver: Driver, opened: () => OpenedStore): void {
  describe('signed parts', () => {
    const part = driver.partSizeBytes;
    const store = () => opened().store;
    const start = (key: string) =>
      store().startMultipart(key, { ...TYPE, partSizeBytes: part, bySignedUrl: true });

    const sign = (key: string, id: string, partNumber: number, sizeBytes: number, ttlSeconds = 900) =>
      store().signPart(key, id, partNumber, {
        sizeBytes,
        issuedAt: wholeSecond(),
        ttlSeconds,
        grantId: 'grant-1',
      });

    it('are sent by PUT, listed, and make a blob', async () => {
      const key = newKey();
      const id = await start(key);
      const data = bytes(part + 1000);
      const sizes = [part, 1000];
      for (const [index, sizeBytes] of sizes.entries()) {
        const signed = await sign(key, id, index + 1, sizeBytes);
        const answer = await send(signed, data.subarray(index * part, index * part + sizeBytes));
        expect(answer.status).toBe(200);
        expect(answer.headers.get('etag')).toMatch(/^".+"$/);
      }
      const parts = await store().listParts(key, id);
      expect(parts.map(({ partNumber, sizeBytes }) => [partNumber, sizeBytes])).toEqual([
        [1, part],
        [2, 1000],
      ]);
      expect(await store().completeMultipart(key, id, parts)).toBe('created');
      expect((await readAll(await store().read(key))).equals(data)).toBe(true);
    });

    it('have equal URLs for equal arguments, in every process, and different ones for different ones', async () => {
      const key = newKey();
      const id = await start(key);
      const issued = new Date(1_700_000_000_000);
      const options = { sizeBytes: 1000, issuedAt: issued, ttlSeconds: 60, grantId: 'grant-1' };
      const { url, expireTime } = await store().signPart(key, id, 1, options);
      expect(expireTime.getTime()).toBe(options.issuedAt.getTime() + options.ttlSeconds * 1000);
      const again = opened().reopen();
      expect((await again.signPart(key, id, 1, options)).url).toBe(url);
      await again.close();
      const others = await Promise.all([
        store().signPart(key, id, 2, options),
        store().signPart(key, id, 1, { ...options, sizeBytes: 1001 }),
        store().signPart(key, id, 1, { ...options, ttlSeconds: 62 }),
        store().signPart(key, id, 1, { ...options, issuedAt: new Date(1_700_000_001_000) }),
      ]);
      expect(new Set([url, ...others.map((other) => other.url)]).size).toBe(5);
      await store().abortMultiparts(key);
    });

    it.each([
      ['nothing', 0],
      ['a byte less', 999],
      ['a byte more', 1001],
      ['far more', 2_000_000],
    ])('are refused, with %s than was signed', async (_name, size) => {
      const key = newKey();
      const id = await start(key);
      const signed = await sign(key, id, 1, 1000);
      const answer = await send({ ...signed, headers: {} }, bytes(size));
      expect([400, 403, 413]).toContain(answer.status);
      expect(await store().listParts(key, id)).toEqual([]);
      await store().abortMultiparts(key);
    });

    itNeeds(driver, 'refuses-broken-parts', 'are not stored if they break off', async () => {
      const key = newKey();
      const id = await start(key);
      const { url } = await sign(key, id, 1, 300_000);
      await new Promise<void>((resolve) => {
        const sending = request(url, { method: 'PUT', headers: { 'content-length': 300_000 } });
        sending.on('error', () => resolve());
        sending.write(bytes(200_000), () => setTimeout(() => sending.destroy(new Error('gone')), 100));
      });
      await new Promise((resolve) => setTimeout(resolve, 200));
      expect(await store().listParts(key, id)).toEqual([]);
      expect((await send(await sign(key, id, 1, 300_000), bytes(300_000))).status).toBe(200);
      expect(await store().listParts(key, id)).toHaveLength(1);
      await store().abortMultiparts(key);
    });

    itNeeds(
      driver,
      'streamed-parts',
      'are taken from a stream of unsaid length, if it is right',
      async () => {
        const key = newKey();
        const id = await start(key);
        for (const [size, status] of [
          [400_000, 400],
          [299_999, 400],
          [300_000, 200],
        ] as const) {
          const { url } = await sign(key, id, 1, 300_000);
          const body = ReadableStream.from(streamOf(bytes(size)));
          const answer = await fetch(url, { method: 'PUT', body, duplex: 'half' });
          expect([size, answer.status]).toEqual([size, status]);
          expect(await store().listParts(key, id)).toHaveLength(status === 200 ? 1 : 0);
        }
        await store().abortMultiparts(key);
      },
    );

    it('are refused when their time is over', async () => {
      const key = newKey();
      const id = await start(key);
      const issuedAt = new Date(wholeSecond().getTime() - 100_000);
      const options = { sizeBytes: 1000, issuedAt, grantId: 'grant-1' };
      const over = await store().signPart(key, id, 1, { ...options, ttlSeconds: 98 });
      expect((await send(over, bytes(1000))).status).toBe(403);
      expect(await store().listParts(key, id)).toEqual([]);
      const running = await store().signPart(key, id, 1, { ...options, ttlSeconds: 400 });
      expect((await send(running, bytes(1000))).status).toBe(200);
      await store().abortMultiparts(key);
    });

    it('are refused once anything in their URL is changed, or it is used for something else', async () => {
      const key = newKey();
      const id = await start(key);
      const signed = await sign(key, id, 1, 1000);
      const url = new URL(signed.url);
      const changed = [...url.searchParams.keys()].map((name) => {
        const one = new URL(url);
        one.searchParams.set(name, changeLast(one.searchParams.get(name)!));
        return one;
      });
      const path = new URL(url);
      path.pathname = changeLast(path.pathname);
      const added = new URL(url);
      added.searchParams.set('x', 'y');
      for (const one of [...changed, path, added]) {
        const answer = await send({ ...signed, url: one.href }, bytes(1000));
        expect([one.href, answer.status >= 400 && answer.status < 404]).toEqual([one.href, true]);
      }
      for (const method of ['GET', 'POST', 'DELETE']) {
        const answer = await fetch(url, { method });
        expect([403, 405]).toContain(answer.status);
      }
      expect(await store().listParts(key, id)).toEqual([]);
      await store().abortMultiparts(key);
    });

    itNeeds(driver, 'refuses-parts-after-abort', 'are refused once the blob is aborted', async () => {
      const key = newKey();
      const id = await start(key);
      const signed = await sign(key, id, 1, 1000);
      await store().abortMultiparts(key);
      expect((await send(signed, bytes(1000))).status).toBe(404);
      expect(await opened().countUnfinished(key)).toBe(0);
    });

    it('may be sent from pages of every origin', async () => {
      const key = newKey();
      const id = await start(key);
      const { url } = await sign(key, id, 1, 1000);
      const headers = { origin: 'https://pages.example', 'access-control-request-method': 'PUT' };
      const answer = await fetch(url, { method: 'OPTIONS', headers });
      expect(answer.ok).toBe(true);
      const allowed = answer.headers.get('access-control-allow-origin');
      expect(['*', headers.origin]).toContain(allowed);
      expect(answer.headers.get('access-control-allow-methods')).toContain('PUT');
      await store().abortMultiparts(key);
    });
  });

  describe('listed parts', () => {
    const part = driver.partSizeBytes;
    const store = () => opened().store;
    const start = (key: string) => store().startMultipart(key, { ...TYPE, partSizeBytes: part });

    it('are none at first, then those that were sent, by number', async () => {
      const key = newKey();
      const id = await start(key);
      expect(await store().listParts(key, id)).toEqual([]);
      for (const [partNumber, size] of [
        [10, 1000],
        [2, part],
        [1, 5],
      ] as const) {
        await store().putPart(key, id, partNumber, bufferedBody(bytes(size)));
      }
      const other = opened().reopen();
      const parts = await other.listParts(key, id);
      await other.close();
      expect(parts.map(({ partNumber, sizeBytes }) => [partNumber, sizeBytes])).toEqual([
        [1, 5],
        [2, part],
        [10, 1000],
      ]);
      await store().abortMultiparts(key);
    });

    it('are those that putPart returned, and complete the blob', async () => {
      const key = newKey();
      const id = await start(key);
      const data = bytes(part + 10);
      const sent = [
        await store().putPart(key, id, 1, bufferedBody(data.subarray(0, part))),
        await store().putPart(key, id, 2, bufferedBody(data.subarray(part))),
      ];
      const listed = await store().listParts(key, id);
      expect(listed.map(({ tag }) => tag)).toEqual(sent.map(({ tag }) => tag));
      expect(listed.map(({ crc32c }, index) => crc32c ?? sent[index]!.crc32c)).toEqual(
        sent.map(({ crc32c }) => crc32c),
      );
      expect(await store().completeMultipart(key, id, listed)).toBe('created');
      expect((await readAll(await store().read(key))).equals(data)).toBe(true);
    });

    it('have the last accepted part of each number, and no refused one', async () => {
      const key = newKey();
      const id = await start(key);
      await store().putPart(key, id, 1, bufferedBody(Buffer.alloc(2000, 1)));
      // Stores have part times in whole seconds.
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      const { tag } = await store().putPart(key, id, 1, bufferedBody(bytes(1000)));
      const wrong = { ...bufferedBody(bytes(500)), crc32c: 1 };
      await rejection(store().putPart(key, id, 1, wrong));
      await rejection(store().putPart(key, id, 2, wrong));
      expect(await store().listParts(key, id)).toMatchObject([{ partNumber: 1, sizeBytes: 1000, tag }]);
      await store().abortMultiparts(key);
    });

    it('never have a replaced part, however soon it was replaced', async () => {
      for (let round = 0; round < 5; round++) {
        const key = newKey();
        const id = await start(key);
        const sent: BlobPart[] = [];
        for (const filler of [1, 2, 3]) {
          sent.push(await store().putPart(key, id, 1, bufferedBody(Buffer.alloc(1000, filler))));
        }
        const listed = await store().listParts(key, id);
        // None if the store does not tell which was sent last.
        if (listed.length > 0) expect(listed).toMatchObject([{ partNumber: 1, tag: sent.at(-1)!.tag }]);
        await store().abortMultiparts(key);
      }
    });

    itNeeds(driver, 'paged-parts', 'are all there if they are more than one page', async () => {
      const key = newKey();
      const id = await start(key);
      const numbers = Array.from({ length: 1003 }, (_none, index) => index + 1);
      const queue = numbers.values();
      await Promise.all(
        Array.from({ length: 16 }, async () => {
          for (const number of queue) await store().putPart(key, id, number, bufferedBody(bytes(1)));
        }),
      );
      const parts = await store().listParts(key, id);
      expect(parts.map(({ partNumber }) => partNumber)).toEqual(numbers);
      await store().abortMultiparts(key);
    });

    it('do not exist after the blob was aborted or completed, or for an unknown id', async () => {
      const key = newKey();
      const aborted = await start(key);
      await store().putPart(key, aborted, 1, bufferedBody(bytes(10)));
      await store().abortMultiparts(key);
      const completed = await start(key);
      const sent = await store().putPart(key, completed, 1, bufferedBody(bytes(10)));
      await store().completeMultipart(key, completed, [sent]);
      for (const id of [aborted, completed, '', 'x', '../../x', `${'0'.repeat(24)}.x`]) {
        const error = await rejection(store().listParts(key, id));
        expect([id, error.reason]).toEqual([id, 'UPLOAD_EXPIRED']);
      }
    });
  });
}

function send({ url, headers }: SignedPut, body: Buffer): Promise<Response> {
  return fetch(url, { method: 'PUT', headers, body });
}

function wholeSecond(): Date {
  return new Date(Math.floor(Date.now() / 1000) * 1000);
}

function changeLast(text: string): string {
  return text.replace(/.$/, (last) => (last === '1' ? '2' : '1'));
}
