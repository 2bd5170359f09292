import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { openPocketBaseCatalog } from '../../src/catalog/pocketbase/pocketbase-catalog.ts';
import { startPocketBase } from '../support/pocketbase.ts';
import { makeDir, removeDir } from '../support/process.ts';

/** How PocketBase writes `field!=""`. */
const isSet = (field: string) => `(${field} IS NOT '' AND ${field} IS NOT NULL)`;

/** The queries of PocketBase 0.40 whose cost depends on the number of files. */
const QUERIES: Record<string, string> = {
  'a file by request key': `select * from files where (revision >= 0 and (${isSet('request_key')} and request_key = 'k')) limit 1`,
  'files that are to be purged': `select * from files where (revision >= 0 and (${isSet('purge_time')} and purge_time <= '2026' and ${isSet('delete_time')})) order by purge_time asc, id asc limit 10`,
  'a list by owner': `select * from files where (revision >= 0 and (owner = 'o' and (delete_time = '' or delete_time is null))) order by created desc, id desc limit 5`,
  'whether a revision is there': `select (1) from asset_revisions where id = 'x-1' collate nocase limit 1`,
  'whether a session is there': `select (1) from asset_uploads where id = 'x' collate nocase limit 1`,
  'a session by request key': `select * from asset_uploads where (${isSet('request_key')} and request_key = 'k') limit 1`,
  'sessions that expired': `select id from asset_uploads where (closed = 0 and expire_time < '2026') order by expire_time asc limit 10`,
  'sessions that are closed': `select * from asset_uploads where (closed = 1 and expire_time <= '2026') order by expire_time asc, id asc limit 10`,
  'changes from a time on': `select * from asset_change_log where created >= '2026' order by created asc limit 10`,
  'the place of a change': `select * from asset_change_log where id = 'x' limit 1`,
  'what replaced states of files': `select * from asset_changes where ((${isSet('follows')} and follows = 'a-1') or (${isSet('follows')} and follows = 'b-2')) limit 2`,
};

describe('plans of pocketbase', () => {
  let dir: string;
  let database: DatabaseSync;

  beforeAll(async () => {
    dir = await makeDir('pocketbase-plans');
    const server = await startPocketBase({ dir });
    const catalog = openPocketBaseCatalog(server);
    await catalog.migrate();
    await catalog.close();
    await server.dispose();
    database = new DatabaseSync(join(dir, 'pb_data', 'data.db'));
  });

  afterAll(async () => {
    database?.close();
    await removeDir(dir);
  });

  /** The few files due in the same millisecond are sorted by id. */
  const SORTS_TIES = ['files that are to be purged'];

  it.each(Object.entries(QUERIES))('%s comes from an index, in order', (name, query) => {
    const plan = database.prepare(`explain query plan ${query}`).all();
    const text = plan.map((row) => row['detail']).join('\n');
    expect(text).toMatch(/^(SEARCH|MULTI-INDEX OR)\b/);
    expect(text).not.toMatch(SORTS_TIES.includes(name) ? /SCAN|TEMP B-TREE FOR ORDER/ : /SCAN|TEMP B-TREE/);
  });
});
