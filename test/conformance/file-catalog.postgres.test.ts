import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { openPostgresCatalog, postgresBackend } from '../../src/catalog/sql-postgres.ts';
import { startPostgres, type Postgres } from '../support/postgres.ts';
import { createDatabase } from '../support/shared-servers.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { describeFileCatalog } from './file-catalog.suite.ts';
import { explainTests } from './file-catalog/sql-plans.ts';
import { createFile, getFile, newId } from './file-catalog/subject.ts';

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

  it('outlives a server that is killed and started again', async () => {
    const catalog = openPostgresCatalog({ url: server.url });
    try {
      await catalog.migrate();
      const file = await createFile(catalog);
      await server.kill();
      await expect(catalog.get([file.id])).rejects.toMatchObject({ reason: 'CATALOG_UNAVAILABLE' });
      await expect(createFile(catalog)).rejects.toMatchObject({ reason: 'CATALOG_UNAVAILABLE' });
      await server.start();
      expect((await getFile(catalog, file.id)).name).toBe(file.name);
    } finally {
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
