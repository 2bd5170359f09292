import { describe, expect, it } from '@jest/globals';
import type { Change, Changes, FileCatalog, FileRecord } from '../../../src/catalog/file-catalog.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  createFile,
  getFile,
  newFile,
  newId,
  outcomes,
  plain,
  reserve,
  type CatalogSubject,
} from './subject.ts';

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

/** A change in one text. */
function keyOf(type: string, { id, revision }: Pick<FileRecord, 'id' | 'revision'>): string {
  return `${type} ${id} ${revision}`;
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

    it('has no change that was refused or lost', async () => {
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

    it('observes every committed change of 16 writers, in every replica alike', async () => {
      const start = await log().position('now');
      const replicas = Array.from({ length: 4 }, () => subject().open());
      const [shared] = [await createFile(catalog(), { name: 'shared' })];
      const acknowledged: string[] = [keyOf('created', shared)];
      let running = true;
      const writer = async (own: FileCatalog) => {
        const file = await createFile(own);
        acknowledged.push(keyOf('created', file));
        const renamed = await own.update(file.id, file.revision, { name: 'mine' });
        acknowledged.push(keyOf('updated', renamed));
        // One of those that meet here wins.
        const { revision } = await getFile(own, shared.id);
        await own.update(shared.id, revision, { name: newId() }).then(
          (won) => acknowledged.push(keyOf('updated', won)),
          (error: unknown) => expect(error).toMatchObject({ reason: 'CONCURRENT_CHANGE' }),
        );
        const { id: closed } = await reserve(own, [newId()]);
        await own.uploads.release(closed, []);
        const refused = own.create(newFile(), { reservationId: closed });
        await expect(refused).rejects.toMatchObject({ reason: 'UPLOAD_EXPIRED' });
        const time = new Date();
        const deleted = await own.update(file.id, renamed.revision, { deleteTime: time, purgeTime: time });
        acknowledged.push(keyOf('deleted', deleted));
        expect(await own.purge(file.id, deleted.revision)).toBe(true);
        acknowledged.push(keyOf('purged', deleted));
      };
      const reader = async (own: FileCatalog, limit: number) => {
        const found: Change[] = [];
        for (let cursor = start; ;) {
          const wasRunning = running;
          const page = await own.changes.read(cursor, limit);
          found.push(...page.changes);
          if (!wasRunning && page.cursor === cursor) return found;
          cursor = page.cursor;
          await sleep(5);
        }
      };
      const reading = Promise.all([3, 10, 100].map((limit, i) => reader(replicas[i]!, limit)));
      try {
        await Promise.all(Array.from({ length: 16 }, (_, i) => writer(replicas[i % replicas.length]!)));
      } finally {
        running = false;
      }
      const all = await reading;
      const final = await readAll(log(), start);
      for (const found of all) expect(found.map(({ id }) => id)).toEqual(final.map(({ id }) => id));
      expect(final.map(({ type, record }) => keyOf(type, record)).sort()).toEqual(acknowledged.sort());
      // Each file by itself in the order of its revisions.
      const counts = new Map<string, number>();
      for (const { type, fileId, revision } of final) {
        const [count, before] = [Number.parseInt(revision, 10), counts.get(fileId)];
        if (before !== undefined) expect(count).toBe(type === 'purged' ? before : before + 1);
        counts.set(fileId, count);
      }
      await Promise.all(replicas.map((replica) => replica.close()));
    });

    it('has the changes of calls that were given up exactly if they happened', async () => {
      const start = await log().position('now');
      const victim = subject().open();
      const files = Array.from({ length: 20 }, () => newFile());
      const { id: reservationId } = await reserve(
        catalog(),
        files.map(({ id }) => id),
      );
      const abort = new AbortController();
      const calls = files.map((file, i) => {
        if (i === 10) setImmediate(() => abort.abort());
        return victim.create(file, { reservationId }, { signal: abort.signal });
      });
      await Promise.allSettled(calls);
      // What was under way may be committed still; after this it is not.
      await catalog().uploads.release(reservationId, []);
      const ids = files.map(({ id }) => id);
      const found = (await readAll(log(), start)).map(({ type, fileId }) => `${type} ${fileId}`);
      const there = await catalog().get(ids);
      expect(found.sort()).toEqual([...there.keys()].map((id) => `created ${id}`).sort());
      await victim.close();
    });

    it('goes on after the database was rewritten', async () => {
      const start = await log().position('now');
      const file = await createFile(catalog());
      const [first] = await readAll(log(), start);
      await subject().vacuum();
      const next = await createFile(catalog());
      const ids = async (from: string) => (await readAll(log(), from)).map(({ fileId }) => fileId);
      expect(await ids(start)).toEqual([file.id, next.id]);
      expect(await ids(first!.cursor)).toEqual([next.id]);
    });

    it('tells cursors of a state that a restore has undone, also when as much was written again', async () => {
      const kept = await createFile(catalog());
      const before = await log().position('now');
      const restore = await subject().dump();
      await catalog().update(kept.id, kept.revision, { name: 'lost' });
      const first = await log().position('now');
      await createFile(catalog());
      const second = await log().position('now');
      await restore();
      const expectExpired = async () => {
        for (const cursor of [first, second]) {
          await expect(log().read(cursor, 10)).rejects.toMatchObject({ reason: 'CURSOR_EXPIRED' });
        }
      };
      await expectExpired();
      expect(await readAll(log(), before)).toEqual([]);
      const again = await catalog().update(kept.id, kept.revision, { name: 'again' });
      const other = await createFile(catalog());
      await expectExpired();
      const found = await readAll(log(), before);
      expect(found.map(({ revision }) => revision)).toEqual([again.revision, other.revision]);
    });

    it('is trimmed from its oldest end, and never empty', async () => {
      const files = [await createFile(catalog()), await createFile(catalog()), await createFile(catalog())];
      const ids = files.map(({ id }) => id);
      const from = await log().position('earliest');
      const all = await readAll(log(), from);
      expect(all.slice(-3).map(({ fileId }) => fileId)).toEqual(ids);
      const now = await log().position('now');
      // Only the entry that begins the log may be older.
      expect(await log().trim(new Date(all[0]!.time.getTime() - 1), 100)).toBeLessThanOrEqual(1);
      const earliest = await log().position('earliest');
      expect(await readAll(log(), earliest)).toHaveLength(all.length);
      const future = new Date(Date.now() + 3_600_000);
      expect(await log().trim(future, 2)).toBe(2);
      await expect(log().read(from, 10)).rejects.toMatchObject({ reason: 'CURSOR_EXPIRED' });
      expect((await readAll(log(), await log().position('earliest'))).length).toBeLessThan(all.length);
      // Several at once may meet the same rows.
      await Promise.all(Array.from({ length: 6 }, () => log().trim(future, 2)));
      while ((await log().trim(future, 1_000)) === 1_000);
      expect(await log().trim(future, 1_000)).toBe(0);
      for (const { cursor } of all.slice(0, -1)) {
        await expect(log().read(cursor, 10)).rejects.toMatchObject({ reason: 'CURSOR_EXPIRED' });
      }
      for (const at of ['earliest', 'now'] as const) expect(await log().position(at)).toBe(now);
      const next = await createFile(catalog());
      const found = await readAll(log(), now);
      expect(found.map(({ fileId }) => fileId)).toEqual([next.id]);
      expect(await log().lag()).toBe(0);
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
