import { describe, expect, it } from '@jest/globals';
import type { FileCatalog, FileChange } from '../../../src/catalog/file-catalog.ts';
import { createFile, getFile, newId, outcomes, plain, type CatalogSubject } from './subject.ts';

/** Changes of records, and who wins when several come at once. */
export function updateTests(catalog: () => FileCatalog, subject: () => CatalogSubject): void {
  describe('update', () => {
    it('changes only the named fields', async () => {
      const { project, tags } = subject().targets;
      const file = await createFile(catalog(), {
        relations: { project: [project[0]!], tags: [tags[0]!, tags[1]!] },
        attributes: { note: 'old', count: 1, meta: { a: 1 } },
      });
      const changed = await catalog().update(file.id, file.revision, {
        name: 'new.txt',
        contentType: 'text/plain',
        owner: 'owner-2',
        usage: 'avatar',
        relations: { tags: [tags[3]!] },
        attributes: { note: 'new' },
      });
      expect(changed).toMatchObject({
        ...{ name: 'new.txt', contentType: 'text/plain', owner: 'owner-2', usage: 'avatar' },
        relations: { project: [project[0]], tags: [tags[3]] },
        attributes: { note: 'new', count: 1, meta: { a: 1 } },
        ...{ sizeBytes: file.sizeBytes, createdBy: file.createdBy, createTime: file.createTime },
      });
      expect(changed.revision).not.toBe(file.revision);
      expect(changed.updateTime.getTime()).toBeGreaterThanOrEqual(file.updateTime.getTime());
      expect(plain(await getFile(catalog(), file.id))).toEqual(plain(changed));
    });

    it('clears relations by an empty list and attributes by null', async () => {
      const { project, tags } = subject().targets;
      const file = await createFile(catalog(), {
        relations: { project: [project[0]!], tags: [tags[0]!, tags[1]!] },
        attributes: { note: 'text', meta: [1] },
      });
      const change: FileChange = { relations: { project: [] }, attributes: { meta: null } };
      const changed = await catalog().update(file.id, file.revision, change);
      expect(changed.relations).toEqual({ tags: [tags[0], tags[1]] });
      expect(changed.attributes).toMatchObject({ note: 'text' });
      expect(changed.attributes).not.toHaveProperty('meta');
      const cleared = await catalog().update(file.id, changed.revision, {
        relations: { tags: [] },
        attributes: { note: null },
      });
      expect(cleared.relations).toEqual({});
      expect(cleared.attributes).not.toHaveProperty('note');
    });

    it('sets the times of a deletion and takes them back', async () => {
      const file = await createFile(catalog());
      const times = { deleteTime: new Date(1_700_000_000_123), purgeTime: new Date(1_800_000_000_456) };
      const deleted = await catalog().update(file.id, file.revision, times);
      expect(deleted).toMatchObject(times);
      expect(await getFile(catalog(), file.id)).toMatchObject(times);
      const back = await catalog().update(file.id, deleted.revision, { deleteTime: null, purgeTime: null });
      expect(back).toMatchObject({ deleteTime: undefined, purgeTime: undefined });
    });

    it('changes the revision every time, also when it changes nothing', async () => {
      let file = await createFile(catalog());
      const seen = new Set([file.revision]);
      for (let i = 0; i < 5; i++) {
        file = await catalog().update(file.id, file.revision, { name: file.name });
        seen.add(file.revision);
      }
      expect(seen.size).toBe(6);
      file = await catalog().update(file.id, file.revision, {});
      expect(seen.has(file.revision)).toBe(false);
    });

    it('is refused for another revision, and for no record', async () => {
      const file = await createFile(catalog());
      await catalog().update(file.id, file.revision, { name: 'first' });
      await expect(catalog().update(file.id, file.revision, { name: 'second' })).rejects.toMatchObject({
        reason: 'CONCURRENT_CHANGE',
        metadata: { file_id: file.id },
      });
      await expect(catalog().update(file.id, 'nonsense', {})).rejects.toMatchObject({
        reason: 'CONCURRENT_CHANGE',
      });
      expect((await getFile(catalog(), file.id)).name).toBe('first');
      await expect(catalog().update(newId(), file.revision, {})).rejects.toMatchObject({
        reason: 'FILE_NOT_FOUND',
      });
    });

    it('has one winner among twenty writers, from the first revision on', async () => {
      const replicas = [subject().open(), subject().open()];
      try {
        let file = await createFile(catalog());
        for (let round = 0; round < 4; round++) {
          const { id, revision } = file;
          const results = await outcomes(
            Array.from({ length: 20 }, (_, i) =>
              replicas[i % 2]!.update(id, revision, { name: `writer ${i}`, attributes: { count: i } }),
            ),
          );
          const winner = results.indexOf('ok');
          const expected = results.map((_, i) => (i === winner ? 'ok' : 'CONCURRENT_CHANGE'));
          expect(winner).toBeGreaterThanOrEqual(0);
          expect(results).toEqual(expected);
          file = await getFile(catalog(), id);
          expect(file.name).toBe(`writer ${winner}`);
          expect(file.attributes.count).toBe(winner);
        }
      } finally {
        await Promise.all(replicas.map((replica) => replica.close()));
      }
    });

    it('loses no change when every writer reads again and repeats', async () => {
      const { id } = await createFile(catalog(), { attributes: { count: 0 } });
      const add = async (): Promise<void> => {
        for (;;) {
          const file = await getFile(catalog(), id);
          const change = { attributes: { count: (file.attributes.count as number) + 1 } };
          const [result] = await outcomes([catalog().update(id, file.revision, change)]);
          if (result === 'ok') return;
          expect(result).toBe('CONCURRENT_CHANGE');
        }
      };
      await Promise.all(Array.from({ length: 8 }, add));
      expect((await getFile(catalog(), id)).attributes.count).toBe(8);
    });
  });

  describe('blobs that the catalog does not know', () => {
    it.each([
      ['a relation', { relations: { nothing: ['x'] } }, 'RELATION_UNKNOWN', { relation: 'nothing' }],
      [
        'a plain field as a relation',
        { relations: { name: ['x'] } },
        'RELATION_UNKNOWN',
        { relation: 'name' },
      ],
      [
        'a target',
        { relations: { project: ['missing00000000'] } },
        'RELATION_TARGET_MISSING',
        { relation: 'project' },
      ],
      [
        'a target of many',
        { relations: { tags: ['missing00000000'] } },
        'RELATION_TARGET_MISSING',
        { relation: 'tags' },
      ],
      ['an attribute', { attributes: { nothing: 1 } }, 'ATTRIBUTE_INVALID', { attribute: 'nothing' }],
      ['a value for a number', { attributes: { count: 'x' } }, 'ATTRIBUTE_INVALID', { attribute: 'count' }],
      ['a value for a bool', { attributes: { public: 'x' } }, 'ATTRIBUTE_INVALID', { attribute: 'public' }],
      ['a value for a text', { attributes: { note: { a: 1 } } }, 'ATTRIBUTE_INVALID', { attribute: 'note' }],
    ] as const)(
      'is refused with nothing written, or taken without a schema: %s',
      async (_, fields, reason, metadata) => {
        const id = newId();
        if (subject().exceptions.hasNoSchema !== undefined) {
          expect((await createFile(catalog(), { id, ...fields })).id).toBe(id);
          return;
        }
        await expect(createFile(catalog(), { id, ...fields })).rejects.toMatchObject({ reason, metadata });
        expect((await catalog().get([id])).size).toBe(0);
        const file = await createFile(catalog());
        await expect(
          catalog().update(file.id, file.revision, { name: 'changed', ...fields }),
        ).rejects.toMatchObject({ reason, metadata });
        expect(plain(await getFile(catalog(), file.id))).toEqual(plain(file));
        // The revision was not used up.
        await catalog().update(file.id, file.revision, { name: 'changed' });
      },
    );
  });
}
