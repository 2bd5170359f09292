import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import type { FileCatalog } from '../../src/catalog/file-catalog.ts';
import { openPocketBaseCatalog } from '../../src/catalog/pocketbase/pocketbase-catalog.ts';
import { startPocketBase, type PocketBaseServer } from '../support/pocketbase.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { readAll } from './file-catalog/changes.ts';
import { createFile, getFile, newFile, outcomes, reserve } from './file-catalog/subject.ts';

/** A rule of a product that carries some changes out otherwise, or not at all. */
const HOOKS = `
onRecordUpdateRequest((e) => {
  if (e.record.getString('name') === 'skipped') return;
  if (e.record.getString('name') === 'altered') e.record.set('usage', 'another');
  e.next();
}, 'files');
onRecordCreateRequest((e) => {
  if (e.record.getString('name') === 'altered') e.record.set('usage', 'another');
  e.next();
}, 'files');`;

describe('the change log in a PocketBase', () => {
  let dir: string;
  let server: PocketBaseServer;
  let catalog: FileCatalog;

  beforeAll(async () => {
    dir = await makeDir('pocketbase-changes');
    server = await startPocketBase({ dir, hooks: HOOKS });
    catalog = openPocketBaseCatalog(server);
    await catalog.migrate();
  });

  afterAll(async () => {
    await catalog?.close();
    await server?.dispose();
    await removeDir(dir);
  });

  const log = () => catalog.changes;
  const seen = async (from: string) =>
    (await readAll(log(), from, 2)).map(({ type, fileId }) => `${type} ${fileId}`);

  /** Runs a statement past PocketBase. */
  function inDatabase(statement: string, ...values: SQLInputValue[]): void {
    const database = new DatabaseSync(join(dir, 'pb_data', 'data.db'), { timeout: 10_000 });
    database.prepare(statement).run(...values);
    database.close();
  }

  it('has many files of one batch, in one order on pages of any size', async () => {
    const start = await log().position('now');
    const files = Array.from({ length: 40 }, () => newFile());
    const { id: reservationId } = await reserve(
      catalog,
      files.map(({ id }) => id),
    );
    await Promise.all(files.map((file) => catalog.create(file, { reservationId })));
    const all = await readAll(log(), start);
    expect(all.map(({ fileId }) => fileId).sort()).toEqual(files.map(({ id }) => id).sort());
    for (const limit of [1, 7, 16]) {
      expect((await readAll(log(), start, limit)).map(({ id }) => id)).toEqual(all.map(({ id }) => id));
    }
  });

  it('has no change that a hook has left out, and one for what was written and undone', async () => {
    const file = await createFile(catalog);
    const start = await log().position('now');
    const [skipped] = await outcomes([catalog.update(file.id, file.revision, { name: 'skipped' })]);
    expect(skipped).toBe('CATALOG_REFUSED');
    expect(await seen(start)).toEqual([]);
    const [altered] = await outcomes([
      catalog.update(file.id, file.revision, { name: 'altered', usage: 'mine' }),
    ]);
    expect(altered).toBe('CATALOG_REFUSED');
    const changes = await readAll(log(), start);
    expect(changes.map(({ type, record: { name, usage } }) => [type, name, usage])).toEqual([
      ['updated', 'altered', 'another'],
      ['updated', file.name, file.usage],
    ]);
    expect(changes.at(-1)!.revision).toBe((await getFile(catalog, file.id)).revision);
    const next = await log().position('now');
    const refused = newFile({ name: 'altered', usage: 'mine' });
    const { id: reservationId } = await reserve(catalog, [refused.id]);
    expect(await outcomes([catalog.create(refused, { reservationId })])).toEqual(['CATALOG_REFUSED']);
    const types = (await readAll(log(), next)).map(({ type }) => type);
    // A reader may have seen the file meanwhile, so its end is there too.
    expect(types).toEqual(['created', 'purged']);
  });

  it('loses nothing when the clock of the server is set back', async () => {
    const start = await log().position('now');
    const files = [];
    for (let i = 0; i < 6; i++) {
      files.push(await createFile(catalog));
      // From the third on an hour earlier.
      const { time } = (await readAll(log(), start)).at(-1)!;
      const earlier = new Date(time.getTime() - 3_600_000).toISOString().replace('T', ' ');
      if (i >= 2) {
        const newest = '(select max(rowid) from asset_changes)';
        inDatabase(`update asset_changes set created = ? where rowid = ${newest}`, earlier);
      }
    }
    expect(await seen(start)).toEqual(files.map(({ id }) => `created ${id}`));
  });

  it('does not pass over changes that somebody has removed', async () => {
    const start = await log().position('now');
    await createFile(catalog);
    const lost = await createFile(catalog);
    await createFile(catalog);
    inDatabase('delete from asset_changes where entries like ?', `%${lost.id}%`);
    await expect(readAll(log(), start)).rejects.toMatchObject({ reason: 'CURSOR_EXPIRED' });
    inDatabase('delete from asset_changes');
    await expect(log().read(start, 10)).rejects.toMatchObject({ reason: 'CURSOR_EXPIRED' });
    const anew = await log().position('earliest');
    const file = await createFile(catalog);
    expect(await seen(anew)).toEqual([`created ${file.id}`]);
  });
});
