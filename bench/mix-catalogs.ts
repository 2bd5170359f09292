import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pg from 'pg';
import type { FileCatalog } from '../src/catalog/file-catalog.ts';
import { openPocketBaseCatalog } from '../src/catalog/pocketbase/pocketbase-catalog.ts';
import { openPostgresCatalog } from '../src/catalog/sql/postgres.ts';
import { startPocketBase } from '../test/support/pocketbase.ts';
import { query, startPostgres } from '../test/support/postgres.ts';
import { makeDir, removeDir } from '../test/support/process.ts';

/** Files of one owner in a catalog that {@link MixCatalog.seed} has filled. */
export const FILES_PER_OWNER = 100;

/** A catalog of its own server. */
export interface MixCatalog {
  /** Settings of the service. */
  readonly env: Readonly<Record<string, string>>;
  /** Process of its server. */
  readonly pid: () => number;
  /**
   * Repeats its only record `count` times, each with an id and a time of its own, with `FILES_PER_OWNER` to each of the
   * owners `owner0`, `owner1` and so on. The records go straight into the database; they have no bytes in the store.
   *
   * @param columns - SQL expressions of `number` for other columns
   */
  seed(count: number, columns?: Readonly<Record<string, string>>): Promise<void>;
  /** Opens it past the service. */
  open(): FileCatalog;
  /** Bytes on disk of the records and their indexes. */
  bytes(): Promise<number>;
  dispose(): Promise<void>;
}

/** Starts an empty catalog. */
export const MIX_CATALOGS: Readonly<Record<string, () => Promise<MixCatalog>>> = {
  PostgreSQL: startOnPostgres,
  PocketBase: startOnPocketBase,
};

async function startOnPostgres(): Promise<MixCatalog> {
  const server = await startPostgres();
  return {
    env: { ASSET_CATALOG: 'postgres', ASSET_POSTGRES_URL: server.url },
    pid: () => server.pid!,
    open: () => openPostgresCatalog({ url: server.url }),
    async seed(count) {
      await query(
        server.url,
        `insert into files select copy.* from files one, generate_series(1, ${count}) number,
           jsonb_populate_record(one, jsonb_build_object(
             'id', substr(md5(number::text), 1, 15),
             'owner', 'owner' || number % ${ownersOf(count)},
             'create_time', one.create_time - number * 1000,
             'request_key', null
           )) copy`,
      );
      await query(server.url, 'vacuum analyze');
    },
    async bytes() {
      const client = new pg.Client({ connectionString: server.url });
      await client.connect();
      const { rows } = await client.query<{ bytes: string }>(
        `select pg_total_relation_size('files') as bytes`,
      );
      await client.end();
      return Number(rows[0]!.bytes);
    },
    dispose: () => server.dispose(),
  };
}

async function startOnPocketBase(): Promise<MixCatalog> {
  const dir = await makeDir('mix-pocketbase');
  const server = await startPocketBase({ dir });
  const { url, email, password } = server;
  return {
    env: {
      ...{ ASSET_CATALOG: 'pocketbase', ASSET_POCKETBASE_URL: url },
      ...{ ASSET_POCKETBASE_EMAIL: email, ASSET_POCKETBASE_PASSWORD: password },
    },
    pid: () => server.pid!,
    open: () => openPocketBaseCatalog({ url, email, password }),
    async seed(count, otherColumns = {}) {
      await server.stop();
      const database = new DatabaseSync(join(dir, 'pb_data', 'data.db'));
      const columns = database.prepare('pragma table_info(files)').all() as { name: string }[];
      const different: Readonly<Record<string, string>> = {
        id: 'substr(lower(hex(randomblob(8))), 1, 15)',
        owner: `'owner' || (number % ${ownersOf(count)})`,
        created: "strftime('%Y-%m-%d %H:%M:%fZ', created, '-' || number || ' seconds')",
        request_key: "''",
        ...otherColumns,
      };
      const names = columns.map(({ name }) => `"${name}"`).join(', ');
      const values = columns.map(({ name }) => different[name] ?? `"${name}"`).join(', ');
      database.exec(
        `insert into files (${names})
           with numbers(number) as (select 1 union all select number + 1 from numbers where number < ${count})
           select ${values} from numbers, (select * from files limit 1)`,
      );
      database.exec('analyze');
      database.close();
      await server.start();
    },
    bytes: async () => (await stat(join(dir, 'pb_data', 'data.db'))).size,
    async dispose() {
      await server.dispose();
      await removeDir(dir);
    },
  };
}

/** Number of owners among so many files. */
export function ownersOf(count: number): number {
  return Math.max(1, Math.floor(count / FILES_PER_OWNER));
}
