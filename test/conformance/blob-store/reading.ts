import { beforeAll, describe, expect, it } from '@jest/globals';
import { bufferedBody, bytes, newKey, readAll, rejection } from './driver.ts';
import type { OpenedStore } from './driver.ts';

/** Ranges of blobs, and readers that stop early. */
export function describeReading(opened: () => OpenedStore): void {
  describe('reading', () => {
    const store = () => opened().store;
    const key = newKey();
    const empty = newKey();
    const large = newKey();
    const SIZE = 100_000;

    beforeAll(async () => {
      await store().put(key, bufferedBody(bytes(SIZE)), { contentType: 'text/plain' });
      await store().put(empty, bufferedBody(bytes(0)), { contentType: 'text/plain' });
      await store().put(large, bufferedBody(bytes(10 * 1024 * 1024)), { contentType: 'text/plain' });
    });

    it.each([
      [{ offset: 0 }, 0, SIZE],
      [{ offset: 0, length: 1 }, 0, 1],
      [{ offset: 0, length: SIZE }, 0, SIZE],
      [{ offset: 0, length: SIZE + 1 }, 0, SIZE],
      [{ offset: 1 }, 1, SIZE],
      [{ offset: 500, length: 1000 }, 500, 1500],
      [{ offset: SIZE - 1 }, SIZE - 1, SIZE],
      [{ offset: SIZE - 1, length: 1 }, SIZE - 1, SIZE],
      [{ offset: SIZE - 10, length: 1_000_000 }, SIZE - 10, SIZE],
      // The greatest limit of the contract.
      [{ offset: 0, length: 2 ** 63 }, 0, SIZE],
      [{ offset: SIZE - 10, length: 2 ** 63 }, SIZE - 10, SIZE],
      [{ offset: 500, length: 0 }, 500, 500],
    ])('reads %j', async (range, from, to) => {
      const data = await readAll(await store().read(key, range));
      expect(data.equals(bytes(SIZE).subarray(from, to))).toBe(true);
    });

    it.each([{ offset: 0 }, { offset: 0, length: 0 }, { offset: 0, length: 10 }])(
      'reads %j of an empty blob',
      async (range) => {
        expect(await readAll(await store().read(empty, range))).toHaveLength(0);
      },
    );

    it('refuses an offset past the end', async () => {
      for (const offset of [SIZE, SIZE + 1]) {
        const read = store().read(key, { offset });
        expect(await rejection(read)).toMatchObject({ reason: 'READ_OFFSET_OUT_OF_RANGE' });
      }
    });

    it('reports a blob that does not exist, whatever the range', async () => {
      for (const range of [undefined, { offset: 0, length: 0 }, { offset: 5, length: 5 }]) {
        expect(await rejection(store().read(newKey(), range))).toMatchObject({ reason: 'BLOB_MISSING' });
      }
    });

    it('lets a reader stop in the middle', async () => {
      for (let i = 0; i < 20; i++) {
        const stream = await store().read(large);
        for await (const chunk of stream) {
          expect((chunk as Buffer).length).toBeGreaterThan(0);
          break;
        }
        expect(stream.destroyed).toBe(true);
      }
    });

    it('ends a read when its caller gives up', async () => {
      const abort = new AbortController();
      const reason = new Error('enough');
      const stream = await store().read(large, undefined, { signal: abort.signal });
      stream.once('data', () => abort.abort(reason));
      const closed = new Promise((resolve) => stream.once('error', resolve));
      expect(await closed).toBe(reason);
      expect(await rejection(store().read(large, undefined, { signal: AbortSignal.abort(reason) }))).toBe(
        reason,
      );
    });

    it('waits for a slow reader', async () => {
      const stream = await store().read(large);
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(stream.readableLength).toBeLessThan(2 * 1024 * 1024);
      expect((await readAll(stream)).equals(bytes(10 * 1024 * 1024))).toBe(true);
    });
  });
}
