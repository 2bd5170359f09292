import { describe, expect, it } from '@jest/globals';
import { crc32c } from '@node-rs/crc32';
import {
  bufferedBody,
  bytes,
  hangingStream,
  itNeeds,
  newKey,
  readAll,
  rejection,
  streamedBody,
} from './driver.ts';
import type { Driver, OpenedStore } from './driver.ts';

const TEXT = { contentType: 'text/plain' };

/** Blobs from one body, and bodies that must not become a blob. */
export function describeWholeBlobs(driver: Driver, opened: () => OpenedStore): void {
  describe('whole blobs', () => {
    const store = () => opened().store;

    it.each([0, 1, 65_536, 1024 * 1024 + 1])('stores and returns %i bytes, buffered', async (size) => {
      const key = newKey();
      const data = bytes(size);
      expect(await store().put(key, bufferedBody(data), TEXT)).toBe('created');
      expect(await store().stat(key)).toEqual({ sizeBytes: size });
      expect((await readAll(await store().read(key))).equals(data)).toBe(true);
    });

    it.each([0, 1, 1024 * 1024 + 1])('stores and returns %i bytes, streamed', async (size) => {
      const key = newKey();
      const data = bytes(size);
      expect(await store().put(key, streamedBody(data), TEXT)).toBe('created');
      expect((await readAll(await store().read(key))).equals(data)).toBe(true);
    });

    it.each(['text/plain', 'image/svg+xml', 'text/html; charset=utf-8'])(
      'keeps the type %s',
      async (type) => {
        const key = newKey();
        await store().put(key, bufferedBody(bytes(10)), { contentType: type });
        expect([type, undefined]).toContain(await opened().contentType(key));
      },
    );

    it('knows nothing under a key that was never used', async () => {
      const key = newKey();
      expect(await store().stat(key)).toBeUndefined();
      await expect(store().read(key)).rejects.toMatchObject({ reason: 'BLOB_MISSING' });
      await store().delete(key);
    });

    it('deletes', async () => {
      const key = newKey();
      await store().put(key, bufferedBody(bytes(10)), TEXT);
      await store().delete(key);
      expect(await store().stat(key)).toBeUndefined();
      await store().delete(key);
      expect(await store().put(key, bufferedBody(bytes(11)), TEXT)).toBe('created');
    });

    itNeeds(driver, 'nested-keys', 'takes keys that begin with one another', async () => {
      const key = newKey();
      for (const one of [key, `${key}/more`, `${key}.more`]) {
        expect(await store().put(one, bufferedBody(bytes(one.length)), TEXT)).toBe('created');
      }
      await store().delete(`${key}/more`);
      expect(await store().stat(key)).toEqual({ sizeBytes: key.length });
      expect(await store().stat(`${key}/more`)).toBeUndefined();
    });

    it('accepts the longest key', async () => {
      const key = newKey().padEnd(512, '/a-segment-of-a-key');
      expect(await store().put(key, bufferedBody(bytes(10)), TEXT)).toBe('created');
      expect(await store().stat(key)).toEqual({ sizeBytes: 10 });
    });

    itNeeds(driver, 'long-segments', 'takes the longest segment of a key', async () => {
      const key = newKey().padEnd(512, 'x');
      expect(await store().put(key, bufferedBody(bytes(10)), TEXT)).toBe('created');
      expect(await store().stat(key)).toEqual({ sizeBytes: 10 });
    });

    it.each([
      ...['', '/', '/a', 'a/', 'a//b', '.', '..', 'a/../b', '../a', './a', 'a/.', 'A', 'a b', 'a\0', 'ä'],
      ...['a\\..\\b', '%2e%2e/a', 'a\n', 'a~', 'x'.repeat(513)],
    ])('refuses the key %j', async (key) => {
      const body = bufferedBody(bytes(10));
      const url = {
        issuedAt: new Date(0),
        ttlSeconds: 60,
        grantId: 'g',
        contentType: 'text/plain',
        contentDisposition: 'inline',
        cacheControl: 'private',
      };
      for (const call of [
        () => store().put(key, body, TEXT),
        () => store().startMultipart(key, { ...TEXT, partSizeBytes: 5 * 1024 * 1024 }),
        () => store().putPart(key, 'id', 1, body),
        () => store().completeMultipart(key, 'id', []),
        () => store().abortMultiparts(key),
        () => store().stat(key),
        () => store().read(key),
        () => store().delete(key),
        async () => store().signUrl(key, url),
        async () => store().signPart(key, 'id', 1, { ...url, sizeBytes: 10 }),
        () => store().listParts(key, 'id'),
      ]) {
        expect((await rejection(call())).name).toBe('TypeError');
      }
    });

    it('never overwrites', async () => {
      const key = newKey();
      expect(await store().put(key, bufferedBody(bytes(10)), TEXT)).toBe('created');
      expect(await store().put(key, bufferedBody(bytes(20)), TEXT)).toBe('exists');
      expect(await store().put(key, streamedBody(bytes(20)), TEXT)).toBe('exists');
      expect(await store().stat(key)).toEqual({ sizeBytes: 10 });
    });

    it('has one winner when many create the same blob at once', async () => {
      const key = newKey();
      const sizes = Array.from({ length: 6 }, (_, i) => 1000 + i);
      // A store may process them one at a time, seconds apart.
      const patient = opened().reopen();
      const results = await Promise.all(
        sizes.map((size) => patient.put(key, bufferedBody(bytes(size)), TEXT)),
      );
      await patient.close();
      expect(results.filter((result) => result === 'created')).toHaveLength(1);
      const winner = sizes[results.indexOf('created')]!;
      expect((await readAll(await store().read(key))).equals(bytes(winner))).toBe(true);
    });

    describe('that must not be stored', () => {
      const data = bytes(300_000);
      const wrong = (crc32c(data) ^ 1) >>> 0;

      it.each([
        [
          'buffered bytes with a wrong checksum',
          { ...bufferedBody(data), crc32c: wrong },
          'CHECKSUM_MISMATCH',
        ],
        [
          'streamed bytes with a wrong checksum',
          { ...streamedBody(data), crc32c: wrong },
          'CHECKSUM_MISMATCH',
        ],
        ['no bytes with a wrong checksum', { sizeBytes: 0, chunks: [], crc32c: 1 }, 'CHECKSUM_MISMATCH'],
        ['buffered bytes, fewer than said', { ...bufferedBody(data), sizeBytes: 300_001 }, 'SIZE_MISMATCH'],
        ['buffered bytes, more than said', { ...bufferedBody(data), sizeBytes: 299_999 }, 'SIZE_MISMATCH'],
        ['streamed bytes, fewer than said', streamedBody(data, 300_001), 'SIZE_MISMATCH'],
        ['streamed bytes, one more than said', streamedBody(data, 299_999), 'SIZE_MISMATCH'],
        ['streamed bytes, a chunk more than said', streamedBody(data, 190_001), 'SIZE_MISMATCH'],
        ['some streamed bytes where none were said', streamedBody(bytes(5), 0), 'SIZE_MISMATCH'],
      ])('%s', async (_name, body, reason) => {
        const key = newKey();
        await expect(store().put(key, body, TEXT)).rejects.toMatchObject({ reason });
        expect(await store().stat(key)).toBeUndefined();
        expect(await opened().countUnfinished(key)).toBe(0);
      });

      it('a stream that fails, with its own error', async () => {
        const key = newKey();
        const fault = new Error('the source broke');
        async function* chunks(): AsyncGenerator<Uint8Array> {
          yield bytes(1000);
          await Promise.resolve();
          throw fault;
        }
        expect(await rejection(store().put(key, { sizeBytes: 2000, chunks: chunks() }, TEXT))).toBe(fault);
        expect(await store().stat(key)).toBeUndefined();
      });

      it('a stream that hangs, once its caller gives up', async () => {
        const key = newKey();
        const chunks = hangingStream(bytes(1000));
        const abort = new AbortController();
        const put = store().put(key, { sizeBytes: 2000, chunks }, TEXT, { signal: abort.signal });
        setTimeout(() => abort.abort(new Error('enough')), 200);
        expect((await rejection(put)).message).toBe('enough');
        await new Promise((resolve) => setTimeout(resolve, 100));
        expect(chunks.closed).toBe(true);
        expect(await store().stat(key)).toBeUndefined();
        expect(await opened().countUnfinished(key)).toBe(0);
      });

      it('what is given up before it begins, or at any moment of it', async () => {
        const body = bufferedBody(bytes(4 * 1024 * 1024));
        const key = newKey();
        const reason = new Error('enough');
        const early = store().put(key, body, TEXT, { signal: AbortSignal.abort(reason) });
        expect(await rejection(early)).toBe(reason);
        for (const afterMs of [0, 1, 2, 4, 8, 16, 32]) {
          const one = newKey();
          const abort = new AbortController();
          const put = store().put(one, body, TEXT, { signal: abort.signal });
          const outcome = put.catch((error: unknown) => error);
          setTimeout(() => abort.abort(reason), afterMs);
          const result = await outcome;
          expect(['created', reason]).toContain(result);
          expect(await store().stat(one)).toEqual(
            result === 'created' ? { sizeBytes: body.sizeBytes } : undefined,
          );
        }
      });
    });
  });
}
