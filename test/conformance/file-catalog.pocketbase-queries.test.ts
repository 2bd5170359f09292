import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { FileCatalog, FileFilter } from '../../src/catalog/file-catalog.ts';
import { openPocketBaseCatalog } from '../../src/catalog/pocketbase/pocketbase-catalog.ts';
import { startPocketBase, type PocketBaseServer } from '../support/pocketbase.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { addTargets, adminOf } from './file-catalog/pocketbase-admin.ts';
import { createFile } from './file-catalog/subject.ts';

/** A statement that PocketBase sent to SQLite, in its log after the time it took. */
const STATEMENT = /\[\d+\.\d+ms\] (SELECT [^]*?)(?=\n(?:\[\d|[A-Z]+ \S)|\s*$)/g;

describe('queries of pocketbase for lists and sums', () => {
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

  /** The plans of all statements that read files during `work`. */
  async function plansOf(work: () => Promise<unknown>): Promise<readonly string[]> {
    const before = server.log().length;
    await work();
    const statements = [...server.log().slice(before).matchAll(STATEMENT)]
      .map(([, statement]) => statement!)
      .filter((statement) => statement.includes('FROM `files`'));
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
