import { describe, expect, it } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import { openSqliteCatalog, sqliteBackend } from '../../src/catalog/sql/sqlite.ts';
import { describeFileCatalog } from './file-catalog.suite.ts';
import { describeLaterRelease } from './file-catalog/later-release.ts';
import { createFile, newId } from './file-catalog/subject.ts';
import { readAll } from './file-catalog/changes.ts';
import { explainTests } from './file-catalog/sql-plans.ts';

describeFileCatalog('sqlite', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'catalog-'));
  const path = join(dir, 'catalog.db');
  const withDatabase = async (work: (database: DatabaseSync) => unknown, file = path) => {
    const database = new DatabaseSync(file, { timeout: 10_000 });
    await work(database);
    database.close();
  };
  return {
    open: () => openSqliteCatalog({ path }),
    dump: async () => {
      const copy = join(dir, 'copy.db');
      await withDatabase((database) => backup(database, copy));
      return () => withDatabase((database) => backup(database, path), copy);
    },
    vacuum: () => withDatabase((database) => database.exec('vacuum')),
    targets: { project: Array.from({ length: 10 }, newId), tags: Array.from({ length: 10 }, newId) },
    outage: { impossible: 'the database is a file of this process: there is no server to lose' },
    exceptions: { hasNoSchema: 'relations and attributes are stored under any name' },
    dispose: () => rm(dir, { recursive: true }),
  };
});

explainTests('sqlite', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'catalog-'));
  const path = join(dir, 'catalog.db');
  const backend = sqliteBackend({ path });
  return {
    backend,
    execute: async (statement, values) => {
      const database = new DatabaseSync(path);
      try {
        return database.prepare(statement).all(...(values as string[]));
      } finally {
        database.close();
      }
    },
    explain: 'explain query plan',
    // A plan that sorts, or reads a whole table.
    isBad: (plan) =>
      /TEMP B-TREE FOR (LAST TERM OF )?ORDER BY|SCAN (files|file_relations|reservations)(?! USING (COVERING )?INDEX)/.test(
        plan,
      ),
    dispose: () => rm(dir, { recursive: true }),
  };
});

describe('file catalog: sqlite', () => {
  it('tells that a file cannot be opened as an outage, without its path', async () => {
    const catalog = openSqliteCatalog({ path: '/nonexistent-folder/catalog.db' });
    const error = await catalog.check().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ reason: 'CATALOG_UNAVAILABLE' });
    expect((error as Error).message).not.toContain('nonexistent');
  });

  it('waits for another process that writes, and gives up in time', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'catalog-'));
    const path = join(dir, 'catalog.db');
    const catalog = openSqliteCatalog({ path });
    const other = new DatabaseSync(path);
    try {
      await catalog.migrate();
      other.exec('begin immediate');
      const waiting = catalog.uploads.reserve([newId()], new Date());
      setTimeout(() => other.exec('commit'), 300);
      expect((await waiting).id).not.toBe('');
      other.exec('begin immediate');
      const start = Date.now();
      await expect(catalog.uploads.reserve([newId()], new Date())).rejects.toMatchObject({
        reason: 'CATALOG_UNAVAILABLE',
      });
      expect(Date.now() - start).toBeLessThan(15_000);
    } finally {
      other.close();
      await catalog.close();
      await rm(dir, { recursive: true });
    }
  });

  it('begins its change log in a database that has files already', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'catalog-'));
    const catalog = openSqliteCatalog({ path: join(dir, 'catalog.db') });
    await catalog.migrate();
    const old = await createFile(catalog);
    const database = new DatabaseSync(join(dir, 'catalog.db'));
    // As before the log, and before what came later.
    database.exec(`
      drop table file_changes;
      drop table subscriptions;
      delete from kysely_migration where name >= '0010'`);
    database.close();
    expect(await catalog.migrate()).toContain('applied 0010_changes');
    const start = await catalog.changes.position('earliest');
    expect(await readAll(catalog.changes, start)).toEqual([]);
    await catalog.update(old.id, old.revision, { name: 'new' });
    expect((await readAll(catalog.changes, start)).map(({ type }) => type)).toEqual(['updated']);
    await catalog.close();
    await rm(dir, { recursive: true });
  });

  describeLaterRelease(async () => {
    const dir = await mkdtemp(join(tmpdir(), 'catalog-'));
    const path = join(dir, 'catalog.db');
    const catalog = openSqliteCatalog({ path });
    return {
      catalog,
      async markApplied(step) {
        const database = new DatabaseSync(path);
        database.prepare('insert into kysely_migration values (?, ?)').run(step, '2100-01-01T00:00:00.000Z');
        database.close();
      },
      async dispose() {
        await catalog.close();
        await rm(dir, { recursive: true });
      },
    };
  });

  it('survives a power cut: commits are synced', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'catalog-'));
    const database = new DatabaseSync(join(dir, 'catalog.db'));
    const catalog = openSqliteCatalog({ path: join(dir, 'catalog.db') });
    await catalog.migrate();
    expect(database.prepare('pragma journal_mode').get()).toEqual({ journal_mode: 'wal' });
    await catalog.close();
    database.close();
    await rm(dir, { recursive: true });
  });
});
