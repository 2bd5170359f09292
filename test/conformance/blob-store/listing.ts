import { describe, expect, it } from '@jest/globals';
import { bufferedBody, bytes, newKey, type Driver, type OpenedStore } from './driver.ts';

const TYPE = { contentType: 'text/plain' };

/** Lists of blobs, which a deep sweep compares with the catalog. */
export function describeListing(driver: Driver, opened: () => OpenedStore): void {
  const store = () => opened().store;

  describe('lists', () => {
    /** An unused prefix with keys below it, in order. */
    async function makeBlobs(): Promise<{ prefix: string; keys: string[] }> {
      const prefix = `${newKey()}/`;
      const keys = ['aa/one', 'aa/two', 'ab/0', 'b0/x/1', 'b0/x/2', 'c0/z'].map((name) => prefix + name);
      for (const [i, key] of keys.toReversed().entries())
        await store().put(key, bufferedBody(bytes(i)), TYPE);
      return { prefix, keys };
    }

    it('name the blobs of a prefix in order, with size and time, a page at a time', async () => {
      const started = Date.now();
      const { prefix, keys } = await makeBlobs();
      const all = await store().listBlobs({ prefix, limit: 1_000 });
      expect(all.map(({ key }) => key)).toEqual(keys);
      expect(all.map(({ sizeBytes }) => sizeBytes)).toEqual([5, 4, 3, 2, 1, 0]);
      for (const { modifyTime } of all) {
        // Some stores have times in whole seconds.
        expect(Math.abs(modifyTime.getTime() - started)).toBeLessThan(60_000);
      }
      const paged: string[] = [];
      for (;;) {
        const after = paged.at(-1);
        const page = await store().listBlobs({ prefix, limit: 4, ...(after !== undefined && { after }) });
        paged.push(...page.map(({ key }) => key));
        if (page.length < 4) break;
      }
      expect(paged).toEqual(keys);
      expect(await store().listBlobs({ prefix: `${prefix}b0/`, limit: 1_000 })).toHaveLength(2);
      const behind = await store().listBlobs({ prefix, after: `${prefix}ab/zzz`, limit: 2 });
      expect(behind.map(({ key }) => key)).toEqual(keys.slice(3, 5));
      expect(await store().listBlobs({ prefix: `${newKey()}/`, limit: 1_000 })).toEqual([]);
      await store().delete(keys[0]!);
      expect(await store().listBlobs({ prefix, limit: 1_000 })).toHaveLength(5);
    });

    it('name the keys of unfinished multipart blobs, each once, and no blobs', async () => {
      const prefix = `${newKey()}/`;
      const keys = [`${prefix}aa/1`, `${prefix}aa/2`, `${prefix}bb/1`];
      const properties = { ...TYPE, partSizeBytes: driver.partSizeBytes };
      for (const key of keys) await store().startMultipart(key, properties);
      const id = await store().startMultipart(keys[1]!, properties);
      await store().putPart(keys[1]!, id, 1, bufferedBody(bytes(10)));
      await store().put(`${prefix}cc/blob`, bufferedBody(bytes(1)), TYPE);
      const listed = await store().listMultiparts({ prefix, limit: 1_000 });
      expect(listed.map(({ key }) => key)).toEqual(keys);
      expect(Math.abs(listed[0]!.modifyTime.getTime() - Date.now())).toBeLessThan(60_000);
      const behind = await store().listMultiparts({ prefix, after: keys[0]!, limit: 1 });
      expect(behind.map(({ key }) => key)).toEqual([keys[1]]);
      expect((await store().listBlobs({ prefix, limit: 10 })).map(({ key }) => key)).toEqual([
        `${prefix}cc/blob`,
      ]);
      for (const key of keys) await store().abortMultiparts(key);
      expect(await store().listMultiparts({ prefix, limit: 10 })).toEqual([]);
    });
  });
}
