import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Kysely, sql } from 'kysely';
import pg from 'pg';
import type { FileCatalog } from '../../src/catalog/file-catalog.ts';
import { openPostgresCatalog, postgresBackend } from '../../src/catalog/sql/postgres.ts';
import { eventually } from '../support/eventually.ts';
import { query, startPostgres, type Postgres } from '../support/postgres.ts';
import { createDatabase } from '../support/shared-servers.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { describeFileCatalog } from './file-catalog.suite.ts';
import { readAll } from './file-catalog/changes.ts';
import { explainTests } from './file-catalog/sql-plans.ts';
import { describeLaterRelease } from './file-catalog/later-release.ts';
import { createFile, getFile, newFile, newId, outcomes, reserve } from './file-catalog/subject.ts';

const TABLES = ['files', 'file_relations', 'reservations', 'uploads', 'file_changes'];

/** Copies the tables as pg_dump would; the returned function restores them. */
async function dumpOf(url: string): Promise<() => Promise<void>> {
  const seq = `pg_get_serial_sequence('file_changes', 'seq')`;
  await query(url, 'create schema dump');
  for (const table of TABLES) await query(url, `create table dump.${table} as table public.${table}`);
  return async () => {
    const restore = TABLES.map((table) => `insert into public.${table} table dump.${table}`);
    const count = `select setval(${seq}, (select max(seq) + 1 from file_changes))`;
    await query(url, ['begin', `truncate ${TABLES.join(', ')}`, ...restore, count, 'commit'].join('; '));
    await query(url, 'drop schema dump cascade');
  };
}

describeFileCatalog('postgres', async () => {
  const url = await createDatabase();
  const proxy = await startTcpProxy(url);
  const proxied = new URL(url);
  proxied.host = proxy.address;
  return {
    open: () => openPostgresCatalog({ url }),
    dump: () => dumpOf(url),
    vacuum: () => query(url, 'vacuum full'),
    targets: { project: Array.from({ length: 10 }, newId), tags: Array.from({ length: 10 }, newId) },
    outage: {
      open: () => openPostgresCatalog({ url: proxied.href }),
      cut: proxy.cut,
      stall: proxy.stall,
      restore: proxy.restore,
      secrets: [proxy.host, String(proxy.port), 'postgres', 'files', 'reservations', 'select'],
    },
    exceptions: { hasNoSchema: 'relations and attributes are stored under any name' },
    dispose: proxy.close,
  };
});

explainTests('postgres', async () => {
  const url = await createDatabase();
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  // To sort a few rows can be cheaper than to read them in order; what counts is that it can be done.
  for (const way of ['sort', 'bitmapscan', 'seqscan']) await client.query(`set enable_${way} = off`);
  return {
    backend: postgresBackend({ url }),
    execute: async (statement, values) => (await client.query<object>(statement, [...values])).rows,
    explain: 'explain',
    isBad: (plan) => /Seq Scan|Bitmap|\bSort\b|Filter: (?!\((files\.)?delete_time)/.test(plan),
    dispose: () => client.end(),
  };
});

/** Lets every insert of a relation wait until the client commits. */
async function delayRelations(client: pg.Client): Promise<void> {
  await client.query(`
    create function wait_here() returns trigger language plpgsql as $$
      begin perform pg_advisory_xact_lock(42); return new; end $$;
    create trigger waits before insert on file_relations for each row execute function wait_here()`);
  await client.query('begin; select pg_advisory_xact_lock(42)');
}

describe('file catalog: postgres', () => {
  let server: Postgres;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(() => server.dispose());

  it('outlives a server that goes down and comes back', async () => {
    const catalog = openPostgresCatalog({ url: server.url });
    try {
      await catalog.migrate();
      const file = await createFile(catalog);
      // A kill would end only the first process, not those that serve connections.
      await server.stop();
      await expect(catalog.get([file.id])).rejects.toMatchObject({ reason: 'CATALOG_UNAVAILABLE' });
      await expect(createFile(catalog)).rejects.toMatchObject({ reason: 'CATALOG_UNAVAILABLE' });
      await server.start();
      expect((await getFile(catalog, file.id)).name).toBe(file.name);
    } finally {
      await catalog.close();
    }
  });

  it('closes a reservation only once a file that is being created under it is there', async () => {
    const url = await createDatabase(server.url);
    const catalog = openPostgresCatalog({ url });
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      await catalog.migrate();
      const file = newFile({ relations: { project: ['x'] } });
      const { id: reservationId } = await reserve(catalog, [file.id]);
      // Delays the create after it has found the reservation open.
      await delayRelations(client);
      const areWaiting = (count: number) =>
        eventually(async () => {
          // A transaction looks once otherwise.
          await client.query('select pg_stat_clear_snapshot()');
          const { rows } = await client.query(
            "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
          );
          expect(rows).toHaveLength(count);
        });
      const creating = catalog.create(file, { reservationId });
      await areWaiting(1);
      const seen = catalog.uploads.release(reservationId, [file.id]).then(() => catalog.get([file.id]));
      await areWaiting(2);
      await client.query('commit');
      expect((await creating).status).toBe('created');
      expect((await seen).size).toBe(1);
    } finally {
      await client.end();
      await catalog.close();
    }
  });

  describeLaterRelease(async () => {
    const url = await createDatabase(server.url);
    const catalog = openPostgresCatalog({ url });
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    return {
      catalog,
      async markApplied(step) {
        await client.query('insert into asset_migrations values ($1, $2)', [
          step,
          '2100-01-01T00:00:00.000Z',
        ]);
      },
      async dispose() {
        await client.end();
        await catalog.close();
      },
    };
  });

  describe('the change log', () => {
    let catalog: FileCatalog;
    let client: pg.Client;
    let start: string;
    let url: string;
    beforeEach(async () => {
      url = await createDatabase(server.url);
      catalog = openPostgresCatalog({ url });
      client = new pg.Client({ connectionString: url });
      await client.connect();
      await catalog.migrate();
      start = await catalog.changes.position('now');
    });
    afterEach(async () => {
      await client.end();
      await catalog.close();
    });
    const seen = async (from = start) =>
      (await readAll(catalog.changes, from)).map(({ type, fileId }) => `${type} ${fileId}`);

    it('returns nothing behind an open transaction, reports the lag, and loses nothing', async () => {
      const slow = newFile({ relations: { project: ['x'] } });
      const { id: reservationId } = await reserve(catalog, [slow.id]);
      await delayRelations(client);
      // Has its place in the log before the others, and is committed after them.
      const creating = catalog.create(slow, { reservationId });
      await eventually(async () => {
        await client.query('select pg_stat_clear_snapshot()');
        const { rows } = await client.query(
          "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
        );
        expect(rows).toHaveLength(1);
      });
      const fast = await createFile(catalog);
      expect(await seen()).toEqual([]);
      const now = await catalog.changes.position('now');
      expect(await catalog.changes.trim(new Date(Date.now() + 3_600_000), 10)).toBe(0);
      await eventually(async () => expect(await catalog.changes.lag()).toBeGreaterThan(0));
      expect(await catalog.inspect({ relations: [], usages: [] })).toEqual([]);
      await client.query('commit');
      await creating;
      const expected = [`created ${slow.id}`, `created ${fast.id}`];
      expect((await seen()).toSorted()).toEqual(expected.toSorted());
      expect(await seen(now)).toEqual(await seen());
      expect(await catalog.changes.lag()).toBe(0);
    });

    it('tells the operator who has held it back for more than a minute', async () => {
      const none = { relations: [], usages: [] };
      const other = new pg.Client({ connectionString: server.url, application_name: 'the culprit' });
      await other.connect();
      await other.query('begin; select pg_current_xact_id()');
      await createFile(catalog);
      await client.query('update file_changes set time = time - 61000');
      const [unknown] = await catalog.inspect(none);
      expect(unknown).toMatchObject({ level: 'warning', text: expect.stringContaining('pg_prepared_xacts') });
      await other.end();
      expect(await catalog.inspect(none)).toEqual([]);
    });

    it('ends a transaction of its own that hangs', async () => {
      const db = new Kysely<unknown>({ dialect: postgresBackend({ url }).openDialect() });
      const { rows } = await sql`show idle_in_transaction_session_timeout`.execute(db);
      expect(rows).toEqual([{ idle_in_transaction_session_timeout: '7s' }]);
      await db.destroy();
    });

    it('has the changes of writers whose connections were cut exactly if they happened', async () => {
      const ids: string[] = [];
      // On a busy machine all calls may have ended when the connections are cut.
      for (let isCut = false; !isCut;) {
        const files = Array.from({ length: 200 }, () => newFile());
        const fileIds = files.map(({ id }) => id);
        ids.push(...fileIds);
        const { id: reservationId } = await reserve(catalog, fileIds);
        const calls = files.map((file) => catalog.create(file, { reservationId }));
        await Promise.race(calls);
        await client.query(
          'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid != pg_backend_pid()',
        );
        isCut = (await outcomes(calls)).some((one) => one !== 'ok');
        await catalog.uploads.release(reservationId, []);
      }
      const there = await catalog.get(ids);
      expect((await seen()).toSorted()).toEqual([...there.keys()].map((id) => `created ${id}`).toSorted());
    });

    it('begins anew in another server, whose transactions have lower numbers', async () => {
      await createFile(catalog);
      const there = await catalog.changes.position('now');
      // As after a restore of a dump of a server that is older.
      await client.query(
        `update file_changes set xid = (xid::text::bigint + 1000000)::text::xid8 where seq > 0`,
      );
      const moved = there.replace(/\.(\d+)\./, (_, xid) => `.${Number(xid) + 1_000_000}.`);
      await expect(catalog.changes.read(moved, 10)).rejects.toMatchObject({ reason: 'CURSOR_EXPIRED' });
      const file = await createFile(catalog);
      for (const from of [start, there, moved]) {
        await expect(catalog.changes.read(from, 10)).rejects.toMatchObject({ reason: 'CURSOR_EXPIRED' });
      }
      expect(await seen(await catalog.changes.position('earliest'))).toEqual([`created ${file.id}`]);
    });
  });

  it('tells a database that was not migrated, or a wrong password, as an outage', async () => {
    const url = await createDatabase(server.url);
    for (const wrong of [url, url.replace('//postgres@', '//nobody@'), `${url}_missing`]) {
      const catalog = openPostgresCatalog({ url: wrong });
      await expect(catalog.check()).rejects.toMatchObject({ reason: 'CATALOG_UNAVAILABLE' });
      await catalog.close();
    }
  });
});
