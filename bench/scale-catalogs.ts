import pg from 'pg';
import type { FileCatalog } from '../src/catalog/file-catalog.ts';
import { openPostgresCatalog } from '../src/catalog/sql/postgres.ts';
import { query, startPostgres } from '../test/support/postgres.ts';
import { MIX_CATALOGS } from './mix-catalogs.ts';
import { fillPostgres, LARGE_OWNER, picked, smallOwnersOf, TYPES, USAGES } from './scale-fill.ts';

/** A catalog with very many records. */
export interface ScaleCatalog {
  /** Settings of the service. */
  readonly env: Readonly<Record<string, string>>;
  /** Process of its server. */
  readonly pid: () => number;
  open(): FileCatalog;
  /** Bytes on disk per file, by table with its indexes, and by index. */
  bytes(): Promise<Readonly<Record<string, number>>>;
  dispose(): Promise<void>;
}

/** Settings of a server of some size: by default it uses 128 MB. */
const SETTINGS = {
  ...{ shared_buffers: '2GB', max_wal_size: '2GB', checkpoint_timeout: '15min', random_page_cost: '1.1' },
};

/** Starts a PostgreSQL and fills its catalog. */
export async function fillPostgresCatalog(
  records: number,
  tell: (step: string, seconds: number) => void,
): Promise<ScaleCatalog> {
  const server = await startPostgres();
  for (const [name, value] of Object.entries(SETTINGS)) {
    await query(server.url, `alter system set ${name} = '${value}'`);
  }
  await server.stop();
  await server.start();
  const catalog = openPostgresCatalog({ url: server.url });
  await catalog.migrate();
  await catalog.close();
  await fillPostgres(server.url, records, tell);
  return { ...(await filledPostgresCatalog(server.url)), dispose: () => server.dispose() };
}

/** A catalog in PostgreSQL that has been filled before; it goes on running. */
export async function filledPostgresCatalog(url: string): Promise<ScaleCatalog> {
  const ask = async <Row extends object>(statement: string): Promise<readonly Row[]> => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      return (await client.query<Row>(statement)).rows;
    } finally {
      await client.end();
    }
  };
  const [postmaster] = await ask<{ text: string }>(`select pg_read_file('postmaster.pid') as text`);
  const pid = Number(postmaster!.text.split('\n')[0]);
  return {
    env: { ASSET_CATALOG: 'postgres', ASSET_POSTGRES_URL: url },
    pid: () => pid,
    open: () => openPostgresCatalog({ url }),
    async bytes() {
      const rows = await ask<{ name: string; bytes: string; rows: number }>(
        `select c.relname as name, f.reltuples as rows,
           case c.relkind when 'r' then pg_total_relation_size(c.oid) else pg_relation_size(c.oid) end as bytes
         from pg_class c, pg_class f
         where f.oid = 'files'::regclass and c.relkind in ('r', 'i')
           and c.relnamespace = 'public'::regnamespace and pg_relation_size(c.oid) > 1000000
         order by 3 desc`,
      );
      return Object.fromEntries(rows.map((row) => [row.name, Number(row.bytes) / row.rows]));
    },
    dispose: () => Promise.resolve(),
  };
}

/** Starts a PocketBase and fills its SQLite file. Its files have no relations. */
export async function fillPocketBaseCatalog(
  records: number,
  tell: (step: string, seconds: number) => void,
): Promise<ScaleCatalog> {
  const catalog = await MIX_CATALOGS['PocketBase']!();
  const opened = catalog.open();
  await opened.migrate();
  const { id: reservationId } = await opened.uploads.reserve(
    ['seed00000000000'],
    new Date(Date.now() + 60_000),
  );
  const file = {
    ...{
      id: 'seed00000000000',
      name: 'seed.jpg',
      contentType: 'image/jpeg',
      sizeBytes: 20_000,
      owner: 'seed',
    },
    ...{ usage: '', relations: {}, attributes: {}, createdBy: 'worker', createdFor: 'seed', crc32c: 1 },
    sha256: new Uint8Array(32),
  };
  await opened.create(file, { reservationId });
  await opened.close();
  const started = performance.now();
  const hash = (salt: number) => `((number * 2654435761 + ${salt} * 40503) >> 7)`;
  await catalog.seed(records, {
    usage: picked(USAGES, `${hash(1)} % 1000`),
    content_type: picked(TYPES, `${hash(2)} % 1000`),
    owner: `case when number % 10 = 0 then '${LARGE_OWNER}' else 'owner' || (${hash(3)} % ${smallOwnersOf(records)}) end`,
    request_key: `'worker:' || lower(hex(randomblob(16)))`,
  });
  tell('filled', (performance.now() - started) / 1_000);
  return {
    ...{ env: catalog.env, pid: catalog.pid },
    open: () => catalog.open(),
    bytes: async () => ({ 'data.db': (await catalog.bytes()) / records }),
    dispose: () => catalog.dispose(),
  };
}
