import { describe, expect, it } from '@jest/globals';
import { MemoryBudget } from '../../../src/storage/memory-budget.ts';
import { writeBlob, type WriteBlobOptions } from '../../../src/files/upload/write-blob.ts';
import { bytes, hangingStream, itNeeds, newKey, readAll, rejection, streamOf } from './driver.ts';
import type { Driver, OpenedStore } from './driver.ts';

/** Streams of any length, through {@link writeBlob}. */
export function describeWriting(driver: Driver, opened: () => OpenedStore): void {
  describe('writeBlob', () => {
    const part = driver.partSizeBytes;
    const store = () => opened().store;
    const budget = new MemoryBudget(4 * part);

    const options = (changes: Partial<WriteBlobOptions> = {}): WriteBlobOptions => ({
      contentType: 'image/png',
      partSizeBytes: part,
      budget: budget.of(''),
      ...changes,
    });

    async function expectNothingLeft(key: string): Promise<void> {
      expect(await store().stat(key)).toBeUndefined();
      expect(await opened().countUnfinished(key)).toBe(0);
      expect([budget.usedBytes, budget.waiting]).toEqual([0, 0]);
    }

    for (const known of [true, false]) {
      it.each([
        ['nothing', 0],
        ['1 byte', 1],
        ['a byte less than a part', part - 1],
        ['a part', part],
        ['a byte more than a part', part + 1],
        ['two parts', 2 * part],
        ['a byte more than two parts', 2 * part + 1],
      ])(`stores %s of ${known ? 'known' : 'unknown'} size`, async (_name, size) => {
        const key = newKey();
        const data = bytes(size);
        const written = await writeBlob(
          store(),
          key,
          streamOf(data),
          options(known ? { sizeBytes: size } : {}),
        );
        expect(written).toMatchObject({ status: 'created', sizeBytes: size });
        expect((await readAll(await store().read(key))).equals(data)).toBe(true);
        expect(['image/png', undefined]).toContain(await opened().contentType(key));
        expect(await opened().countUnfinished(key)).toBe(0);
        expect(budget.usedBytes).toBe(0);
      });
    }

    it.each([
      ['fewer bytes than said, within a part', 1000, 1001],
      ['more bytes than said, within a part', 1000, 999],
      ['fewer bytes than said, in parts', part + 1000, part + 1001],
      ['more bytes than said, in parts', part + 1000, part + 999],
      ['more bytes than said, a part said', part + 1, part],
    ])('refuses %s', async (_name, size, sizeBytes) => {
      const key = newKey();
      const write = writeBlob(store(), key, streamOf(bytes(size)), options({ sizeBytes }));
      expect(await rejection(write)).toMatchObject({ reason: 'SIZE_MISMATCH' });
      await expectNothingLeft(key);
    });

    it.each([
      ['the first part', 1000],
      ['the second part', part + 1000],
    ])('leaves nothing of a stream that fails in %s, and fails with its error', async (_name, size) => {
      const key = newKey();
      const fault = new Error('the source broke');
      async function* chunks(): AsyncGenerator<Uint8Array> {
        yield* streamOf(bytes(size));
        throw fault;
      }
      expect(await rejection(writeBlob(store(), key, chunks(), options()))).toBe(fault);
      await expectNothingLeft(key);
    });

    it.each([
      ['the first part', 1000],
      ['the second part', part + 1000],
    ])('leaves nothing of a stream that hangs in %s when its caller gives up', async (_name, size) => {
      const key = newKey();
      const chunks = hangingStream(bytes(size));
      const abort = new AbortController();
      const reason = new Error('enough');
      setTimeout(() => abort.abort(reason), 300);
      const write = writeBlob(store(), key, chunks, options({ signal: abort.signal }));
      expect(await rejection(write)).toBe(reason);
      expect(chunks.closed).toBe(true);
      await expectNothingLeft(key);
    });

    const race = async (key: string, size: number) => {
      const write = () => writeBlob(store(), key, streamOf(bytes(size)), options());
      const statuses = (await Promise.all([write(), write()])).map(({ status }) => status);
      expect((await readAll(await store().read(key))).equals(bytes(size))).toBe(true);
      expect(await opened().countUnfinished(key)).toBe(0);
      return statuses.sort();
    };

    it('has one winner when two write one blob in one go', async () => {
      expect(await race(newKey(), 1000)).toEqual(['created', 'exists']);
    });

    it('loses nothing when two writers write one blob in parts', async () => {
      expect(await race(newKey(), part + 1000)).toContain('created');
    });

    itNeeds(driver, 'one-completion', 'has one winner when two write one blob in parts', async () => {
      expect(await race(newKey(), part + 1000)).toEqual(['created', 'exists']);
    });

    it('fails, and does not hang, when the store goes away in the middle', async () => {
      const key = newKey();
      async function* chunks(): AsyncGenerator<Uint8Array> {
        yield* streamOf(bytes(part + 1000));
        await opened().fail();
        yield* streamOf(bytes(part));
      }
      try {
        const write = writeBlob(store(), key, chunks(), options());
        expect(await rejection(write)).toMatchObject({ reason: 'STORE_UNAVAILABLE' });
      } finally {
        await opened().recover();
      }
      await store().abortMultiparts(key);
      await expectNothingLeft(key);
    });
  });
}
