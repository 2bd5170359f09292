import { describe, expect, it } from '@jest/globals';
import type { Change, Changes, FileCatalog } from '../../../src/catalog/file-catalog.ts';
import { createFile, getFile, newFile, outcomes, plain, reserve, type CatalogSubject } from './subject.ts';

/** Reads on until there are no more changes. */
export async function readAll(changes: Changes, from: string, limit = 100): Promise<Change[]> {
  const found: Change[] = [];
  for (let cursor = from; ;) {
    const page = await changes.read(cursor, limit);
    expect(page.changes.length).toBeLessThanOrEqual(limit);
    if (page.changes.length > 0) expect(page.changes.at(-1)!.cursor).toBe(page.cursor);
    found.push(...page.changes);
    if (page.cursor === cursor) return found;
    cursor = page.cursor;
  }
}

/** The change log observes every committed change. */
export function changeTests(catalog: () => FileCatalog, subject: () => CatalogSubject): void {
  const log = () => catalog().changes;

  describe('the change log', () => {
    it('has every kind of change, with the record as the change left it', async () => {
      const start = await log().position('now');
      const created = await createFile(catalog(), { name: 'first', relations: {} });
      const { id } = created;
      const updated = await catalog().update(id, created.revision, { name: 'second' });
      const same = await catalog().update(id, updated.revision, { name: 'second' });
      const time = new Date(Date.UTC(2026, 1, 1));
      const deleted = await catalog().update(id, same.revision, { deleteTime: time, purgeTime: time });
      const renamed = await catalog().update(id, deleted.revision, { name: 'third' });
      const alive = await catalog().update(id, renamed.revision, { deleteTime: null, purgeTime: null });
      const gone = await catalog().update(id, alive.revision, { deleteTime: time, purgeTime: time });
      const bytes = { sizeBytes: 4, sha256: new Uint8Array(32).fill(1), crc32c: 5 };
      const moved = await catalog().legacy.setBytes(id, gone.revision, bytes, []);
      expect(await catalog().purge(id, moved.revision)).toBe(true);
      const found = await readAll(log(), start);
      const records = [created, updated, same, deleted, renamed, alive, gone, moved, moved];
      expect(found.map(({ record }) => plain(record))).toEqual(records.map(plain));
      expect(found.map(({ type }) => type)).toEqual([
        ...['created', 'updated', 'updated', 'deleted', 'updated', 'undeleted', 'deleted'],
        ...['updated', 'purged'],
      ]);
      for (const { fileId, revision, record } of found)
        expect([fileId, revision]).toEqual([id, record.revision]);
      expect(new Set(found.map((one) => one.id)).size).toBe(found.length);
      // Also one by one, from each position, and in another replica.
      expect(await readAll(log(), start, 1)).toEqual(found);
      const other = subject().open();
      for (const [i, { cursor }] of found.entries()) {
        expect(await readAll(other.changes, cursor)).toEqual(found.slice(i + 1));
      }
      await other.close();
    });

    it('has nothing of what was refused or lost', async () => {
      const file = await createFile(catalog(), {}, 'taken-in-the-log');
      const start = await log().position('now');
      const late = newFile();
      const { id: reservationId } = await reserve(catalog(), [late.id]);
      await catalog().uploads.release(reservationId, []);
      const again = newFile();
      const open = await reserve(catalog(), [again.id]);
      const results = await outcomes([
        catalog().create(late, { reservationId }),
        catalog().create(again, { reservationId: open.id, requestKey: 'taken-in-the-log' }),
        catalog().update(file.id, 'no-revision', { name: 'x' }),
        catalog().update(file.id, file.revision, { name: 'bad \0 name' }),
        catalog().purge(file.id, 'no-revision'),
      ]);
      expect(results).toEqual(['UPLOAD_EXPIRED', 'ok', 'CONCURRENT_CHANGE', 'CATALOG_REFUSED', 'ok']);
      expect(await readAll(log(), start)).toEqual([]);
      expect((await getFile(catalog(), file.id)).revision).toBe(file.revision);
    });

    it('refuses cursors that are none, or of another catalog', async () => {
      for (const text of ['', 'x', 'sqlite', 'sqlite.1', '../../x', 'a'.repeat(5_000), 'sqlite.-1.x']) {
        const wanted = { reason: 'FIELD_INVALID', metadata: { field: 'cursor' } };
        await expect(log().read(text, 10)).rejects.toMatchObject(wanted);
      }
      const here = await log().position('now');
      const foreign = ['other.1.x', 'sqlite.1.x', 'postgres.1.1.x', 'pocketbase.1.1.x'];
      const far = here.replace(/\.\d+\./, '.99999999999999999999.');
      for (const cursor of [...foreign, far, `${here}x`]) {
        await expect(log().read(cursor, 10)).rejects.toMatchObject({ reason: 'CURSOR_EXPIRED' });
      }
    });
  });
}
