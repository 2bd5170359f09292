import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type PocketBase from 'pocketbase';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { FileCatalog, FileFilter, FileRecord } from '../../src/catalog/file-catalog.ts';
import { openPocketBaseCatalog } from '../../src/catalog/pocketbase/pocketbase-catalog.ts';
import { importFile } from '../../src/catalog/transfer.ts';
import { startPocketBase, type PocketBaseServer } from '../support/pocketbase.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { addTargets, adminOf } from './file-catalog/pocketbase-admin.ts';
import { createFile, getFile, newFile, newId, outcomes, plain } from './file-catalog/subject.ts';

/** A statement that PocketBase sent to SQLite, in its log after the time it took. */
const STATEMENT = /\[\d+\.\d+ms\] (SELECT [^]*?)(?=\n(?:\[\d|[A-Z]+ \S)|\s*$)/g;

/** Records of another catalog in a PocketBase. */
describe('imports of pocketbase', () => {
  let dir: string;
  let server: PocketBaseServer;
  let admin: PocketBase;
  let catalog: FileCatalog;
  let project: string;
  let old: FileRecord;

  beforeAll(async () => {
    dir = await makeDir('pocketbase-imports');
    server = await startPocketBase({ dir, logsSql: true });
    admin = await adminOf(server);
    const projects = await addTargets(admin, 'projects');
    project = projects.ids[0]!;
    await admin.collections.create({
      name: 'files',
      type: 'base',
      fields: [
        { name: 'project', type: 'relation', collectionId: projects.collectionId, maxSelect: 1 },
        { name: 'count', type: 'number' },
        { name: 'touched', type: 'autodate', onUpdate: true },
      ],
    });
    const before = openPocketBaseCatalog(server);
    await before.migrate();
    old = await createFile(before);
    await expect(importFile(before, { record: foreign() })).rejects.toMatchObject({
      ...{ reason: 'CATALOG_REFUSED', metadata: { field: 'create_time' } },
    });
    await before.close();
    catalog = openPocketBaseCatalog({ ...server, takesImports: true });
    await catalog.migrate();
  });

  afterAll(async () => {
    await catalog?.close();
    await server?.dispose();
    await removeDir(dir);
  });

  function foreign(fields: Partial<FileRecord> = {}, time = Date.UTC(2020, 1, 1)): FileRecord {
    return {
      ...newFile({ owner: 'ann' }),
      ...{ createTime: new Date(time), updateTime: new Date(time + 5) },
      ...{ deleteTime: undefined, purgeTime: undefined, revision: '3-x' },
      ...fields,
    };
  }

  it('leave the revisions of other records as they are', async () => {
    expect((await getFile(catalog, old.id)).revision).toBe(old.revision);
    expect((await catalog.update(old.id, old.revision, { name: 'new' })).name).toBe('new');
  });

  it('tell a change by another program, which leaves the time of creation alone', async () => {
    const record = foreign();
    await importFile(catalog, { record });
    expect(plain(await getFile(catalog, record.id))).toEqual(plain(record));
    await admin.collection('files').update(record.id, { name: 'by another program' });
    const changed = await getFile(catalog, record.id);
    expect(changed.revision).not.toBe(record.revision);
    expect(changed.createTime).toEqual(record.createTime);
    expect(changed.updateTime.getTime()).toBeGreaterThan(record.updateTime.getTime());
    expect(await outcomes([catalog.update(record.id, record.revision, { name: 'x' })])).toEqual([
      'CONCURRENT_CHANGE',
    ]);
    await importFile(catalog, { record });
    expect(plain(await getFile(catalog, record.id))).toEqual(plain(record));
  });

  it('are refused as a whole where the collection cannot keep them', async () => {
    const record = foreign({ attributes: { count: 3 }, relations: { project: [project] } });
    await importFile(catalog, { record });
    const wrong: [Partial<FileRecord>, string][] = [
      [{ relations: { project: [newId()] } }, 'RELATION_TARGET_MISSING'],
      [{ relations: { other: ['a'] } }, 'RELATION_UNKNOWN'],
      [{ attributes: { other: 1 } }, 'ATTRIBUTE_INVALID'],
    ];
    for (const [fields, reason] of wrong) {
      const other = foreign(fields);
      const twice = [other, { ...other, id: record.id }].map((one) => importFile(catalog, { record: one }));
      expect(await outcomes(twice)).toEqual([reason, reason]);
      expect((await catalog.get([other.id])).size).toBe(0);
    }
    expect(plain(await getFile(catalog, record.id))).toEqual(plain(record));
    await importFile(catalog, { record: { ...record, attributes: {}, relations: {} } });
    expect(await getFile(catalog, record.id)).toMatchObject({ attributes: {}, relations: {} });
  });

  it('are written one by one where a batch as a whole is too long', async () => {
    const { batch } = (await admin.settings.getAll()) as { batch: object };
    await admin.settings.update({ batch: { ...batch, maxRequests: 4 } });
    try {
      const records = Array.from({ length: 40 }, () => foreign());
      const [wrong] = records.splice(7, 1, foreign({ attributes: { other: 1 } }));
      const refused = await catalog.importFiles(records.map((record) => ({ record })));
      expect([...refused.keys()]).toEqual([records[7]!.id]);
      expect((await catalog.get(records.map(({ id }) => id))).size).toBe(39);
      expect((await catalog.get([wrong!.id])).size).toBe(0);
    } finally {
      await admin.settings.update({ batch });
    }
  });

  it('stand in lists among the others, on pages of any size', async () => {
    const owner = newId();
    const year = (n: number) => Date.UTC(n, 0, 1);
    const records = [year(2030), year(2019), year(2031), 0, 0].map((time) => foreign({ owner }, time));
    for (const record of records) await importFile(catalog, { record });
    const mine = [await createFile(catalog, { owner }), await createFile(catalog, { owner })];
    const wanted = [...records, ...mine].sort(
      (a, b) => b.createTime.getTime() - a.createTime.getTime() || (a.id < b.id ? 1 : -1),
    );
    for (const limit of [1, 2, 10]) {
      const found: FileRecord[] = [];
      for (let after: FileRecord | undefined; ;) {
        const page = await catalog.list({
          ...{ filter: { owner }, showDeleted: false, limit },
          ...(after && { after }),
        });
        found.push(...page);
        after = page.at(-1);
        if (!after) break;
      }
      expect(found.map(({ id }) => id)).toEqual(wanted.map(({ id }) => id));
    }
    const [from, to] = [new Date(year(2018)), new Date(year(2030))];
    const filter: FileFilter = { owner, createTimeFrom: from, createTimeTo: to };
    const within = await catalog.list({ filter, showDeleted: false, limit: 10 });
    expect(within.length).toBe(3);
    expect(await catalog.totalsOf(owner, undefined)).toEqual({ files: 7, bytes: 7 * 1234 });
  });

  it('are listed from indexes, in order', async () => {
    const database = new DatabaseSync(join(dir, 'pb_data', 'data.db'), { readOnly: true });
    const relation = { name: 'project', id: project };
    const filters: FileFilter[] = [{}, { usage: 'note' }, { relation }, { contentType: 'image/png' }];
    const after = { createTime: new Date(), id: 'zzz' };
    for (const filter of filters.flatMap((one) => [one, { ...one, owner: 'ann' }])) {
      const before = server.log().length;
      await catalog.list({ filter, showDeleted: false, limit: 5 });
      await catalog.list({ filter, showDeleted: false, limit: 5, after });
      const statements = [...server.log().slice(before).matchAll(STATEMENT)].flatMap(([, text]) => text!);
      const plans = statements
        .filter((text) => /FROM `files`/.test(text) && text.includes('ORDER BY'))
        .map((text) => {
          const rows = database.prepare(`explain query plan ${text}`).all();
          return `${text}\n${rows.map((row) => String(row['detail'])).join('\n')}`;
        });
      expect(plans.length).toBeGreaterThanOrEqual(4);
      for (const plan of plans) {
        expect(plan).toMatch(/USING INDEX idx_asset_files_\w+_(imported|native)/);
        expect(plan).not.toContain('TEMP B-TREE');
      }
    }
    database.close();
  });
});
