import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { FileCatalog } from '../../src/catalog/file-catalog.ts';
import { openPostgresCatalog } from '../../src/catalog/sql/postgres.ts';
import { loadConfig } from '../../src/config/config.ts';
import { explainFailure } from '../../src/config/explain.ts';
import { signalTree } from '../fault/support/signal-tree.ts';
import { eventually } from '../support/eventually.ts';
import { startPostgres, query, type Postgres } from '../support/postgres.ts';
import { createDatabase } from '../support/shared-servers.ts';
import { createFile, getFile, newFile, newId, reserve } from './file-catalog/subject.ts';

/** What a call rejects with. */
async function failureOf(call: Promise<unknown>): Promise<Error & { readonly retryAfterMs?: number }> {
  return call.then(
    () => new Error('resolved'),
    (error: Error) => error,
  );
}

/** The rejection of a call that begins to fail soon. */
async function eventuallyRejects(call: () => Promise<unknown>): Promise<never> {
  return eventually(async () => {
    const error = await failureOf(call());
    if (error.message === 'resolved') throw error;
    return error;
  }).then((error) => Promise.reject(error));
}

describe('a PostgreSQL in trouble', () => {
  let server: Postgres;
  let url: string;
  let client: pg.Client;
  let catalog: FileCatalog;

  beforeAll(async () => {
    server = await startPostgres();
    await query(server.url, `create role service login`);
  });
  afterAll(() => server?.dispose());

  beforeEach(async () => {
    url = await createDatabase(server.url);
    catalog = openPostgresCatalog({ url });
    await catalog.migrate();
    client = new pg.Client({ connectionString: url });
    client.on('error', () => undefined);
    await client.connect();
  });
  afterEach(async () => {
    await client.end();
    await catalog.close();
  });

  /** Passes if the caller is told to try again, and the operator the cause in one line. */
  async function expectDown(call: Promise<unknown>, line: RegExp, retryAfterMs = 1_000): Promise<void> {
    const error = await failureOf(call);
    expect(error).toMatchObject({ reason: 'CATALOG_UNAVAILABLE', retryAfterMs });
    expect(error.message).not.toMatch(/postgres|5\d{4}|disk|connection/i);
    const config = loadConfig({ ASSET_CATALOG: 'postgres', ASSET_POSTGRES_URL: url });
    expect(explainFailure(error, config)).toMatch(line);
  }

  /** Lets the next `count` inserts of a file fail with a code. */
  async function failInserts(code: string, text: string, count: number): Promise<void> {
    await client.query(`
      create sequence tries;
      create function fail() returns trigger language plpgsql as $$
        begin
          -- A sequence counts on when a transaction is rolled back.
          if nextval('tries') <= ${count} then raise exception '${text}' using errcode = '${code}'; end if;
          return new;
        end $$;
      create trigger fails before insert on files for each row execute function fail()`);
  }

  it.each([
    ['53100', 'could not extend file: No space left on device', 10_000],
    ['53200', 'out of memory', 1_000],
    ['57014', 'canceling statement due to statement timeout', 1_000],
    ['55P03', 'canceling statement due to lock timeout', 1_000],
    ['57P03', 'the database system is starting up', 1_000],
    ['XX001', 'invalid page in block 7', 1_000],
  ])(
    'tells %s as an outage, by name to the operator, and stores nothing',
    async (code, text, retryAfterMs) => {
      await failInserts(code, text, 1);
      const file = newFile();
      const { id: reservationId } = await reserve(catalog, [file.id]);
      await expectDown(
        catalog.create(file, { reservationId }),
        new RegExp(`${text} \\(${code}\\)`),
        retryAfterMs,
      );
      expect((await catalog.get([file.id])).size).toBe(0);
      expect((await catalog.create(file, { reservationId })).status).toBe('created');
    },
  );

  it.each(['40001', '40P01'])('tries again itself after %s', async (code) => {
    await failInserts(code, 'another transaction interfered', 3);
    const { id } = await createFile(catalog);
    await client.query('alter sequence tries restart');
    const { cursor } = await catalog.changes.read(await catalog.changes.position('earliest'), 10);
    await createFile(catalog);
    expect((await catalog.changes.read(cursor, 10)).changes).toHaveLength(1);
    expect((await getFile(catalog, id)).id).toBe(id);
  });

  it('drops connections to a server that has become read-only, and goes on when it no longer is', async () => {
    const file = await createFile(catalog);
    const { id: reservationId } = await reserve(catalog, [newId()]);
    const readOnly = async (value: 'on' | 'off') => {
      await query(server.url, `alter system set default_transaction_read_only = ${value}`);
      await query(server.url, 'select pg_reload_conf()');
    };
    await readOnly('on');
    try {
      await expectDown(
        eventuallyRejects(() => catalog.create(newFile(), { reservationId })),
        /^ASSET_POSTGRES_URL: .*read-only transaction \(25006\)/,
      );
      await expectDown(catalog.check(), /^ASSET_POSTGRES_URL: .*read-only/);
      expect((await getFile(catalog, file.id)).id).toBe(file.id);
    } finally {
      await client.query('set default_transaction_read_only = off');
      await client.query('alter system reset default_transaction_read_only');
      await client.query('select pg_reload_conf()');
    }
    await eventually(() => createFile(catalog));
  });

  it('reads nothing from a standby, where a new file would be missing, until it is promoted', async () => {
    const file = await createFile(catalog);
    await server.stop();
    const signal = join(server.dir, 'data', 'standby.signal');
    await writeFile(signal, '');
    try {
      await server.start();
      const line = /^ASSET_POSTGRES_URL: the server is a standby/;
      await expectDown(catalog.get([file.id]), line);
      await expectDown(catalog.check(), line);
      await expectDown(createFile(catalog), line);
      const fresh = openPostgresCatalog({ url });
      await expectDown(fresh.migrate(), line);
      await expectDown(fresh.inspect({ relations: [], usages: [] }), line);
      await fresh.close();
      await query(server.url, 'select pg_promote()');
      await eventually(() => createFile(catalog));
      expect((await getFile(catalog, file.id)).id).toBe(file.id);
    } finally {
      await rm(signal, { force: true });
    }
  });

  it('names the setting when a server admits no more connections, and when all are in use', async () => {
    await client.query('grant select, insert, update, delete on all tables in schema public to service');
    await client.query('alter role service connection limit 1');
    const limited = new URL(url);
    limited.username = 'service';
    const [first, second] = [1, 2].map(() => openPostgresCatalog({ url: limited.href, maxConnections: 1 }));
    try {
      await first!.check();
      await expectDown(second!.check(), /^ASSET_POSTGRES_CONNECTIONS: .*too many connections.*\(53300\)/);
      const file = await createFile(first!);
      await client.query(`begin; select 1 from files where id = '${file.id}' for update`);
      const waiting = first!.update(file.id, file.revision, { name: 'x' });
      await expectDown(first!.check(), /^ASSET_POSTGRES_CONNECTIONS: all connections of this process/);
      await client.query('rollback');
      await waiting;
    } finally {
      await Promise.all([first!.close(), second!.close()]);
    }
  });

  it('gives up a migration that would hold up all calls behind a long transaction, and does it later', async () => {
    const steps = await catalog.migrate();
    expect(steps).toEqual([]);
    await client.query(`
      alter table files drop column imported_revision;
      drop table file_changes, subscriptions;
      delete from asset_migrations where name >= '0009'`);
    const reader = new pg.Client({ connectionString: url });
    await reader.connect();
    try {
      await reader.query('begin; select 1 from files');
      await expectDown(catalog.migrate(), /lock timeout \(55P03\)/);
      await reader.query('commit');
      expect(await catalog.migrate()).toHaveLength(3);
      await createFile(catalog);
    } finally {
      await reader.end();
    }
  });

  it('checks without looking for a row behind those that were removed', async () => {
    await client.query(`alter table files set (autovacuum_enabled = off)`);
    await client.query(`
      insert into files (id, name, content_type, media_type, media_kind, size_bytes, owner, usage, attributes,
        created_by, create_time, update_time, revision)
      select number::text, repeat('x', 200), '', '', '', 0, '', '', '{}', '', 0, 0, 1
      from generate_series(1, 4000) number`);
    await client.query('delete from files');
    const blocksRead = async () => {
      const { rows } = await client.query<{ blocks: string }>(
        `select heap_blks_read + heap_blks_hit as blocks from pg_statio_user_tables where relname = 'files'`,
      );
      return Number(rows[0]!.blocks);
    };
    await eventually(async () => {
      await client.query('select pg_stat_force_next_flush()');
      expect(await blocksRead()).toBeGreaterThan(4_000);
    });
    const before = await blocksRead();
    const one = openPostgresCatalog({ url });
    for (let i = 0; i < 3; i++) await one.check();
    // The server counts what a connection read when that ends.
    await one.close();
    await eventually(async () => {
      const { rows } = await client.query(
        `select 1 from pg_stat_activity where datname = current_database() and pid != pg_backend_pid()`,
      );
      expect(rows).toEqual([]);
    });
    expect((await blocksRead()) - before).toBeLessThan(50);
  });

  it('leaves no connection when it is closed while the server hangs, so that a command ends', async () => {
    const sockets = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
    // The connection of the migration closes.
    await eventually(async () => {
      const count = sockets();
      await sleep(200);
      expect(sockets()).toBe(count);
    });
    const before = sockets();
    const other = openPostgresCatalog({ url });
    expect(await other.get([newId()])).toEqual(new Map());
    expect(sockets()).toBeGreaterThan(before);
    signalTree(server.pid!, 'SIGSTOP');
    try {
      await other.close();
      await eventually(() => expect(sockets()).toBe(before));
    } finally {
      signalTree(server.pid!, 'SIGCONT');
    }
  });

  it('stores nothing twice when connections end at any moment and callers try again', async () => {
    const files = Array.from({ length: 60 }, () => ({
      file: newFile({ owner: 'ann' }),
      requestKey: newId(),
    }));
    const told = new Set<string>();
    const insist = async ({ file, requestKey }: (typeof files)[0]) => {
      for (;;) {
        try {
          const { id: reservationId } = await reserve(catalog, [file.id]);
          const { status } = await catalog.create(file, { reservationId, requestKey });
          return status;
        } catch (error) {
          told.add((error as { reason?: string }).reason ?? String(error));
          if (await catalog.findByRequestKey(requestKey).catch(() => undefined)) return 'found';
        }
      }
    };
    const running = files.map(insist);
    for (let round = 0; round < 8; round++) {
      await client.query(`select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid != pg_backend_pid()`);
    }
    expect(await Promise.all(running)).toHaveLength(files.length);
    expect(
      [...told].filter((reason) => reason !== 'CATALOG_UNAVAILABLE' && reason !== 'CATALOG_REFUSED'),
    ).toEqual([]);
    expect(await catalog.totalsOf('ann', undefined)).toMatchObject({ files: files.length });
    const earliest = await catalog.changes.position('earliest');
    expect((await catalog.changes.read(earliest, 200)).changes).toHaveLength(files.length);
  });
});
