import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { FileCatalog, FileFilter } from '../../src/catalog/file-catalog.ts';
import { openPocketBaseCatalog } from '../../src/catalog/pocketbase/pocketbase-catalog.ts';
import { startPocketBase, type PocketBaseServer } from '../support/pocketbase.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { addTargets, adminOf } from './file-catalog/pocketbase-admin.ts';
import { createFile, newId } from './file-catalog/subject.ts';

/** A statement that PocketBase sent to SQLite, in its log after the time it took. */
const STATEMENT = /\[\d+\.\d+ms\] (SELECT [^]*?)(?=\n(?:\[\d|[A-Z]+ \S)|\s*$)/g;

describe('queries of pocketbase', () => {
  let dir: string;
  let server: PocketBaseServer;
  let catalog: FileCatalog;
  let database: DatabaseSync;
  let project: string;

  beforeAll(async () => {
    dir = await makeDir('pocketbase-queries');
    server = await startPocketBase({ dir, logsSql: true });
    catalog = openPocketBaseCatalog(server);
    const admin = await adminOf(server);
    const projects = await addTargets(admin, 'projects');
    project = projects.ids[0]!;
    await admin.collections.create({
      name: 'files',
      type: 'base',
      fields: [{ name: 'project', type: 'relation', collectionId: projects.collectionId, maxSelect: 1 }],
    });
    await catalog.migrate();
    for (const contentType of ['image/png', 'IMAGE/png; a=1', 'image/jpeg', 'text/plain']) {
      await createFile(catalog, {
        contentType,
        owner: 'ann',
        usage: 'note',
        relations: { project: [project] },
      });
    }
    database = new DatabaseSync(join(dir, 'pb_data', 'data.db'), { readOnly: true });
  });

  afterAll(async () => {
    database?.close();
    await catalog?.close();
    await server?.dispose();
    await removeDir(dir);
  });

  /** The plans of all statements that read files, or what the service keeps beside them, during `work`. */
  async function plansOf(work: () => Promise<unknown>): Promise<readonly string[]> {
    const before = server.log().length;
    await work();
    const statements = [...server.log().slice(before).matchAll(STATEMENT)]
      .map(([, statement]) => statement!)
      .filter((statement) => /FROM `(files|asset_\w+)`/.test(statement));
    expect(statements.length).toBeGreaterThan(0);
    return statements.map((statement) => {
      const rows = database.prepare(`explain query plan ${statement}`).all();
      return `${statement}\n${rows.map((row) => String(row['detail'])).join('\n')}`;
    });
  }

  const times = { createTimeFrom: new Date(0), createTimeTo: new Date(Date.now() + 3_600_000) };
  /** Each filter with the index columns that limit what is read; `<expr>` is the content type in lower case. */
  const FILTERS: Record<string, readonly [filter: () => FileFilter, first: RegExp, next: RegExp]> = {
    'no filter': [
      () => ({}),
      /SCAN files USING INDEX idx_asset_files_created/,
      /SEARCH files USING INDEX idx_asset_files_created/,
    ],
    owner: [() => ({ owner: 'ann' }), /\(owner=\?/, /\(owner=\? AND created<\?\)/],
    usage: [() => ({ usage: 'note' }), /\(usage=\?/, /\(usage=\? AND created<\?\)/],
    relation: [
      () => ({ relation: { name: 'project', id: project } }),
      /\(project=\?/,
      /\(project=\? AND created<\?\)/,
    ],
    'a content type': [
      () => ({ contentType: 'image/png' }),
      /\(<expr>[=>]/,
      /\(<expr>(=\? AND created<\?\)|>)/,
    ],
    'content types of a kind': [
      () => ({ contentType: 'image/*' }),
      /\(<expr>[=>]/,
      /\(<expr>(=\? AND created<\?\)|>)/,
    ],
    time: [() => times, /\(created>\? AND created<\?\)/, /\(created>\? AND created<\?\)/],
    'usage and owner': [
      () => ({ owner: 'ann', usage: 'note' }),
      /\(owner=\? AND usage=\?/,
      /\(owner=\? AND usage=\? AND created<\?\)/,
    ],
    'relation and owner': [
      () => ({ owner: 'ann', relation: { name: 'project', id: project } }),
      /\(owner=\? AND project=\?/,
      /\(owner=\? AND project=\? AND created<\?\)/,
    ],
    'content type and owner': [
      () => ({ owner: 'ann', contentType: 'image/png' }),
      /\(owner=\? AND <expr>[=>]/,
      /\(owner=\? AND <expr>(=\? AND created<\?\)|>)/,
    ],
    'content types of a kind and owner': [
      () => ({ owner: 'ann', contentType: 'image/*' }),
      /\(owner=\? AND <expr>[=>]/,
      /\(owner=\? AND <expr>(=\? AND created<\?\)|>)/,
    ],
    'time and owner': [
      () => ({ owner: 'ann', ...times }),
      /\(owner=\? AND created>\? AND created<\?\)/,
      /\(owner=\? AND created>\? AND created<\?\)/,
    ],
  };

  it.each(Object.entries(FILTERS))(
    'a list by %s comes from an index, in order',
    async (_, [filter, first, next]) => {
      const page = { filter: filter(), limit: 5 };
      const after = { createTime: new Date(), id: 'm' };
      const ways = [
        [first, await plansOf(() => catalog.list({ ...page, showDeleted: false }))],
        [next, await plansOf(() => catalog.list({ ...page, showDeleted: true, after }))],
      ] as const;
      for (const [expected, plans] of ways) {
        for (const plan of plans) {
          expect(plan).toMatch(expected);
          expect(plan).not.toMatch(/TEMP B-TREE|SCAN files(?! USING INDEX)/);
        }
      }
    },
  );

  it.each([undefined, 'note'])('the sum of an owner and usage %s comes from an index', async (usage) => {
    for (const plan of await plansOf(() => catalog.totalsOf('ann', usage))) {
      expect(plan).toMatch(usage === undefined ? /\(owner=\?/ : /\(owner=\? AND usage=\?/);
      expect(plan).not.toMatch(/TEMP B-TREE|SCAN/);
    }
  });

  const soon = () => new Date(Date.now() + 3_600_000);
  /** Further calls whose cost must not grow with the number of files. */
  const CALLS: Record<string, () => Promise<unknown>> = {
    'a file by request key': () => catalog.findByRequestKey('key'),
    'a change of a file': async () => {
      const [file] = await catalog.list({ filter: {}, showDeleted: true, limit: 1 });
      await catalog.update(file!.id, file!.revision, { name: 'new name' });
    },
    'files that are to be purged': () => catalog.listPurgeable(soon(), 10),
    'the next files that are to be purged': () =>
      catalog.listPurgeable(soon(), 10, { after: { time: new Date(0), id: 'm' } }),
    'a session': () => catalog.uploads.get(newId()),
    'a session by request key': () => catalog.uploads.find('key'),
    'holds that expired or are closed': () => catalog.uploads.takeClosed(soon(), 10),
    'a preview of those holds': () => catalog.uploads.listPast(soon(), 10),
    'the claims of an owner': () => catalog.uploads.claimsOf('ann'),
    'the sessions of a caller': () => catalog.uploads.countOf('worker', 10),
    changes: async () => {
      const { changes } = catalog;
      await changes.read(await changes.position('earliest'), 10);
      await changes.read(await changes.position('now'), 10);
    },
  };

  it.each(Object.entries(CALLS))('%s: the queries use indexes, in order', async (_, call) => {
    for (const plan of await plansOf(call)) {
      // The first or last row of a table needs no index.
      if (/^SELECT [^]*ORDER BY `\w+`\.`_rowid_` (ASC|DESC) LIMIT 1\n/.test(plan) && !plan.includes('WHERE'))
        continue;
      expect(plan).toMatch(/\b(SEARCH|MULTI-INDEX OR)\b|SCAN \w+ USING/);
      // The few that are due in the same millisecond may be sorted.
      expect(plan).not.toMatch(/TEMP B-TREE FOR ORDER BY|SCAN \w+(?! USING)\b/);
    }
  });

  it('finds types with parameters, in any case, and those that were not there before', async () => {
    const types = async (contentType: string) =>
      (await catalog.list({ filter: { contentType }, showDeleted: false, limit: 50 })).map(
        (file) => file.contentType,
      );
    expect((await types('image/png')).sort()).toEqual(['IMAGE/png; a=1', 'image/png']);
    expect(await types('image/*')).toHaveLength(3);
    expect(await types('video/*')).toEqual([]);
    await createFile(catalog, { contentType: 'image/png;b' });
    await createFile(catalog, { contentType: 'image/zzz' });
    await createFile(catalog, { contentType: 'video/mp4' });
    expect(await types('image/png')).toHaveLength(3);
    expect(await types('image/*')).toHaveLength(5);
    expect(await types('video/*')).toEqual(['video/mp4']);
    // More than are queried separately.
    for (let i = 0; i < 40; i++) await createFile(catalog, { contentType: `audio/x-${i}` });
    expect(await types('audio/*')).toHaveLength(40);
  });
});
