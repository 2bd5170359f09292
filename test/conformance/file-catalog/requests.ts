import { describe, expect, it } from '@jest/globals';
import type { FileCatalog } from '../../../src/catalog/file-catalog.ts';
import { createFile, newFile, newId, plain, reserve, type CatalogSubject } from './subject.ts';

/** Request keys, which make repeated uploads safe. */
export function requestTests(catalog: () => FileCatalog, subject: () => CatalogSubject): void {
  describe('request keys', () => {
    it('find the record that was created with them, also once it is deleted', async () => {
      const key = `Key_-${newId()}`;
      expect(await catalog().findByRequestKey(key)).toBeUndefined();
      const file = await createFile(catalog(), {}, key);
      expect(plain((await catalog().findByRequestKey(key))!)).toEqual(plain(file));
      await catalog().update(file.id, file.revision, { deleteTime: new Date(1_000) });
      expect((await catalog().findByRequestKey(key))?.id).toBe(file.id);
    });

    it('differ by every character, and may be missing many times', async () => {
      const key = newId();
      await createFile(catalog(), {}, `${key}a`);
      await createFile(catalog(), {}, `${key}A`);
      await Promise.all([createFile(catalog()), createFile(catalog())]);
      expect(await catalog().findByRequestKey(key)).toBeUndefined();
    });

    it('let one of ten concurrent creates through', async () => {
      const replicas = [subject().open(), subject().open()];
      try {
        const key = newId();
        const results = await Promise.all(
          Array.from({ length: 10 }, async (_, i) => {
            const replica = replicas[i % 2]!;
            const file = newFile({ name: `file ${i}` });
            const { id: reservationId } = await reserve(replica, [file.id]);
            return { file, ...(await replica.create(file, { reservationId, requestKey: key })) };
          }),
        );
        const created = results.filter((result) => result.status === 'created');
        expect(created).toHaveLength(1);
        expect((await catalog().findByRequestKey(key))?.id).toBe(created[0]!.file.id);
        expect((await catalog().get(results.map((result) => result.file.id))).size).toBe(1);
      } finally {
        await Promise.all(replicas.map((replica) => replica.close()));
      }
    });

    it('answer a create that is sent again by the same file', async () => {
      const file = newFile();
      const { id: reservationId } = await reserve(catalog(), [file.id]);
      const options = { reservationId, requestKey: newId() };
      expect((await catalog().create(file, options)).status).toBe('created');
      expect((await catalog().create(file, options)).status).toBe('request-taken');
    });
  });
}
