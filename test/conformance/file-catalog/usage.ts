import { describe, expect, it } from '@jest/globals';
import type { FileCatalog } from '../../../src/catalog/file-catalog.ts';
import { createFile, newId } from './subject.ts';

/** What an owner has: sums of files and bytes. */
export function usageTests(catalog: () => FileCatalog): void {
  describe('usage of an owner', () => {
    it('sums up the files of one usage or of all, deleted ones until they are purged', async () => {
      const [owner, other] = [`owner ${newId()}`, `owner ${newId()}`];
      const [usage, further] = [`usage ${newId()}`, `usage ${newId()}`];
      expect(await catalog().totalsOf(owner, usage)).toEqual({ files: 0, bytes: 0 });
      await createFile(catalog(), { owner, usage, sizeBytes: 5 });
      const deleted = await createFile(catalog(), { owner, usage, sizeBytes: 2 ** 42 });
      await createFile(catalog(), { owner, usage, sizeBytes: 0 });
      await createFile(catalog(), { owner, usage: further, sizeBytes: 7 });
      await createFile(catalog(), { owner, usage: '', sizeBytes: 1 });
      await createFile(catalog(), { owner: other, usage, sizeBytes: 100 });
      const { revision } = await catalog().update(deleted.id, deleted.revision, {
        ...{ deleteTime: new Date(1_000), purgeTime: new Date(2_000) },
      });
      expect(await catalog().totalsOf(owner, usage)).toEqual({ files: 3, bytes: 5 + 2 ** 42 });
      expect(await catalog().totalsOf(owner, further)).toEqual({ files: 1, bytes: 7 });
      expect(await catalog().totalsOf(owner, '')).toEqual({ files: 1, bytes: 1 });
      expect(await catalog().totalsOf(owner, undefined)).toEqual({ files: 5, bytes: 13 + 2 ** 42 });
      await catalog().purge(deleted.id, revision);
      expect(await catalog().totalsOf(owner, undefined)).toEqual({ files: 4, bytes: 13 });
    });

    it('finds nothing by an id that looks like a query', async () => {
      for (const text of ['%', '" || "a" = "a', `' or '1'='1`]) {
        expect(await catalog().totalsOf(text, text)).toEqual({ files: 0, bytes: 0 });
      }
    });
  });
}
