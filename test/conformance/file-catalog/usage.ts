import { describe, expect, it } from '@jest/globals';
import type { FileCatalog } from '../../../src/catalog/file-catalog.ts';
import { createFile, newFile, newId, reserve } from './subject.ts';

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

    it.each([
      "o'hara",
      '"quoted" \\\\',
      '100%',
      '100_',
      'Zoë 東京 🎉',
      ' spaced ',
      'a`b',
      '{"a":[1]}',
      'a/b:c',
    ])('keeps owner and usage %s apart from others', async (text) => {
      const [owner, usage] = [`${text}${newId()}${text}`, `${text} ${newId()}`];
      await createFile(catalog(), { owner, usage, sizeBytes: 3 });
      for (const other of [owner.toUpperCase(), `${owner} `, owner.replaceAll(/[%_]/g, '0')]) {
        if (other !== owner) await createFile(catalog(), { owner: other, usage, sizeBytes: 100 });
      }
      expect(await catalog().totalsOf(owner, usage)).toEqual({ files: 1, bytes: 3 });
      expect(await catalog().totalsOf(owner, undefined)).toEqual({ files: 1, bytes: 3 });
      expect(await catalog().totalsOf(owner, usage.toUpperCase())).toEqual({ files: 0, bytes: 0 });
    });

    it('sums up more files, and more usages, than one page has', async () => {
      const owner = `owner ${newId()}`;
      const ids = Array.from({ length: 1_005 }, newId);
      const { id: reservationId } = await reserve(catalog(), ids);
      const create = (id: string, index: number) =>
        catalog().create(newFile({ id, owner, usage: `u${index}`, sizeBytes: index }), { reservationId });
      for (let at = 0; at < ids.length; at += 100) {
        await Promise.all(ids.slice(at, at + 100).map((id, index) => create(id, at + index)));
      }
      expect(await catalog().totalsOf(owner, undefined)).toEqual({
        files: 1_005,
        bytes: (1_004 * 1_005) / 2,
      });
      expect(await catalog().totalsOf(owner, 'u1004')).toEqual({ files: 1, bytes: 1_004 });
    });

    it('finds nothing by an id that looks like a query', async () => {
      for (const text of ['%', '" || "a" = "a', `' or '1'='1`]) {
        expect(await catalog().totalsOf(text, text)).toEqual({ files: 0, bytes: 0 });
      }
    });
  });
}
