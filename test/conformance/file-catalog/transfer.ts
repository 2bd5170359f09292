import { describe, expect, it } from '@jest/globals';
import type { FileCatalog, FileRecord, TransferredFile } from '../../../src/catalog/file-catalog.ts';
import { createFile, getFile, newFile, newId, outcomes, plain, type CatalogSubject } from './subject.ts';

/** Records that go from one catalog into another as they are. */
export function transferTests(catalog: () => FileCatalog, subject: () => CatalogSubject): void {
  async function exported(ids: readonly string[], pageSize: number): Promise<TransferredFile[]> {
    const found: TransferredFile[] = [];
    for (let after = ''; ;) {
      const page = await catalog().exportFiles(after, pageSize);
      expect(page.length).toBeLessThanOrEqual(pageSize);
      found.push(...page.filter(({ record }) => ids.includes(record.id)));
      if (page.length < pageSize) return found;
      after = page.at(-1)!.record.id;
    }
  }

  /** A record of another catalog, with something in every field. */
  function foreign(fields: Partial<FileRecord> = {}): FileRecord {
    const targets = subject().targets;
    return {
      ...newFile({ relations: { project: [targets.project[0]!], tags: targets.tags.slice(0, 3) } }),
      ...{ createTime: new Date(Date.UTC(2020, 1, 1) + 7), updateTime: new Date(Date.UTC(2021, 1, 1) + 8) },
      ...{ deleteTime: undefined, purgeTime: undefined, revision: '3-abc_DEF' },
      ...fields,
    };
  }

  describe('records that are exported', () => {
    it('are exported unchanged, each once, in the order of ids, with deleted ones and request keys', async () => {
      const key = newId();
      const files = [
        await createFile(catalog(), { name: 'first' }, key),
        await createFile(catalog(), { sha256: undefined, crc32c: undefined, owner: '', usage: '' }),
        await createFile(catalog()),
      ];
      const time = new Date(Date.UTC(2026, 1, 1));
      const { id, revision } = files[2]!;
      files[2] = await catalog().update(id, revision, { deleteTime: time, purgeTime: time });
      const expected = files.toSorted((a, b) => (a.id < b.id ? -1 : 1));
      const found = await exported(
        files.map((file) => file.id),
        50,
      );
      expect(found.map(({ record }) => plain(record))).toEqual(expected.map(plain));
      const keys = found.map(({ requestKey }) => requestKey);
      expect(keys).toEqual(expected.map((file) => (file.id === files[0]!.id ? key : undefined)));
      expect(await catalog().exportFiles('zzzzzzzzzzzzzzzz', 5)).toEqual([]);
    });
  });

  describe('records that are imported', () => {
    const refusal = () => subject().exceptions.keepsNoForeignTimes !== undefined;

    it('keep everything, or are refused with the reason', async () => {
      const time = new Date(Date.UTC(2022, 1, 1));
      const alive = { record: foreign(), requestKey: newId() };
      const deleted = { record: foreign({ deleteTime: time, purgeTime: time, revision: '12' }) };
      const bare = {
        record: foreign({ sha256: undefined, crc32c: undefined, relations: {}, revision: 'x' }),
      };
      for (const file of [alive, deleted, bare]) {
        const importing = catalog().importFile(file);
        if (!refusal()) await importing;
        else
          await expect(importing).rejects.toMatchObject({
            ...{ reason: 'CATALOG_REFUSED', metadata: { field: 'create_time' } },
          });
      }
      const ids = [alive, deleted, bare].map(({ record }) => record.id);
      if (refusal()) return expect((await catalog().get(ids)).size).toBe(0);
      for (const { record } of [alive, deleted, bare]) {
        expect(plain(await getFile(catalog(), record.id))).toEqual(plain(record));
      }
      expect((await catalog().findByRequestKey(alive.requestKey))?.id).toBe(alive.record.id);
      const found = await exported(ids, 1_000);
      const inOrder = [alive, deleted, bare].toSorted((a, b) => (a.record.id < b.record.id ? -1 : 1));
      expect(found.map(({ record, ...more }) => ({ ...plain(record), ...more }))).toEqual(
        inOrder.map(({ record, ...more }) => ({ ...plain(record), ...more })),
      );
      const due = await catalog().listPurgeable(time, 1_000);
      expect(due).toContainEqual({ id: deleted.record.id, revision: '12', purgeTime: time });
      expect(await catalog().purge(deleted.record.id, '12')).toBe(true);
    });

    it('are found in lists by the time at which they were created', async () => {
      if (refusal()) return;
      const owner = newId();
      const record = foreign({ owner });
      await createFile(catalog(), { owner });
      await catalog().importFile({ record });
      const relation = { name: 'project', id: record.relations['project']![0]! };
      for (const filter of [{ owner }, { owner, relation }]) {
        const listed = await catalog().list({ filter, showDeleted: false, limit: 5 });
        expect(listed.at(-1)).toEqual({ ...record, sha256: listed.at(-1)!.sha256 });
      }
      const { createTime, id } = record;
      const after = { createTime, id };
      expect(await catalog().list({ filter: { owner }, showDeleted: false, limit: 5, after })).toEqual([]);
    });

    it('may be imported again, and are replaced', async () => {
      if (refusal()) return;
      const requestKey = newId();
      const first = foreign();
      await catalog().importFile({ record: first, requestKey });
      await catalog().importFile({ record: first, requestKey });
      expect(plain(await getFile(catalog(), first.id))).toEqual(plain(first));
      const second = { ...foreign({ relations: {}, name: 'second', revision: '4-x' }), id: first.id };
      await catalog().importFile({ record: second });
      expect(plain(await getFile(catalog(), first.id))).toEqual(plain(second));
      expect(await catalog().findByRequestKey(requestKey)).toBeUndefined();
    });

    it('are refused, and change nothing, where another record has the request key', async () => {
      if (refusal()) return;
      const requestKey = newId();
      const { id } = await createFile(catalog(), {}, requestKey);
      const record = foreign();
      const wanted = { reason: 'CATALOG_REFUSED', metadata: { field: 'request_id' } };
      await expect(catalog().importFile({ record, requestKey })).rejects.toMatchObject(wanted);
      expect((await catalog().get([record.id])).size).toBe(0);
      expect((await catalog().findByRequestKey(requestKey))?.id).toBe(id);
    });

    it.each(['3-abc_DEF', '12', 'x'])('go on from the revision %s', async (revision) => {
      if (refusal()) return;
      const record = foreign({ revision });
      await catalog().importFile({ record });
      const both = ['a', 'b'].map((name) => catalog().update(record.id, revision, { name }));
      expect((await outcomes(both)).toSorted()).toEqual(['CONCURRENT_CHANGE', 'ok']);
      const changed = await getFile(catalog(), record.id);
      expect(changed.revision).not.toBe(revision);
      expect(changed.createTime).toEqual(record.createTime);
      const again = await catalog().update(record.id, changed.revision, { name: 'c' });
      expect(new Set([revision, changed.revision, again.revision]).size).toBe(3);
    });
  });
}
