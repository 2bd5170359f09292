import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { openPostgresCatalog, postgresBackend } from '../../src/catalog/sql/postgres.ts';
import { eventually } from '../support/eventually.ts';
import { startPostgres, type Postgres } from '../support/postgres.ts';
import { createDatabase } from '../support/shared-servers.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { describeFileCatalog } from './file-catalog.suite.ts';
import { explainTests } from './file-catalog/sql-plans.ts';
import { createFile, getFile, newFile, newId, reserve } from './file-catalog/subject.ts';

describeFileCatalog('postgres', async () => {
  const url = await createDatabase();
  const proxy = await startTcpProxy(url);
  const proxied = new URL(url);
  proxied.host = proxy.address;
  return {
    open: () => openPostgresCatalog({ url }),
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
      await client.query('begin; lock table file_relations in exclusive mode');
      const areWaiting = (count: number) =>
        eventually(async () => {
          // A transaction looks once otherwise.
          await client.query('select pg_stat_clear_snapshot()');
          const { rows } = await client.query(
            "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
          );
          expect(rows).toHaveLength(count);
        }, 20_000);
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

  it('tells a database that was not migrated, or a wrong password, as an outage', async () => {
    const url = await createDatabase(server.url);
    for (const wrong of [url, url.replace('//postgres@', '//nobody@'), `${url}_missing`]) {
      const catalog = openPostgresCatalog({ url: wrong });
      await expect(catalog.check()).rejects.toMatchObject({ reason: 'CATALOG_UNAVAILABLE' });
      await catalog.close();
    }
  });
});
