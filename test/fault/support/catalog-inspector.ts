import pg from 'pg';
import { adminOf } from '../../conformance/file-catalog/pocketbase-admin.ts';
import type { PocketBaseServer } from '../../support/pocketbase.ts';

/** Reads a catalog without the service. */
export interface CatalogInspector {
  /** Ids of all files, including deleted ones. */
  fileIds(): Promise<string[]>;
  /** Reservations and sessions that are closed or expired before `time`, each as its kind and id. */
  pastThings(time: Date): Promise<string[]>;
  close(): Promise<void>;
}

/** Reads a PostgreSQL database. */
export function postgresInspector(url: string): CatalogInspector {
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  pool.on('error', () => undefined);
  const column = async (query: string, values: unknown[] = []): Promise<string[]> =>
    (await pool.query<{ it: string }>(query, values)).rows.map(({ it }) => it);
  return {
    fileIds: () => column('select id as it from files'),
    async pastThings(time) {
      const past = (table: string) =>
        column(`select '${table} ' || id as it from ${table} where closed = 1 or expire_time < $1::bigint`, [
          time.getTime(),
        ]);
      return [...(await past('reservations')), ...(await past('uploads'))];
    },
    close: () => pool.end(),
  };
}

/** Reads a PocketBase as its superuser. */
export async function pocketbaseInspector(server: PocketBaseServer): Promise<CatalogInspector> {
  const admin = await adminOf(server);
  type Row = { id: string; expire_time?: string; closed?: boolean; file_ids?: string[] };
  const all = (collection: string) => admin.collection(collection).getFullList<Row>({ batch: 1000 });
  return {
    fileIds: async () => (await all('files')).map(({ id }) => id),
    async pastThings(time) {
      const isPast = (row: Row) => row.closed === true || new Date(row.expire_time!) < time;
      const name = (what: string) => (row: Row) => `${what} ${row.id}`;
      return [
        ...(await all('asset_reservations')).filter(isPast).map(name('reservation')),
        ...(await all('asset_leftovers')).map(name('leftovers')),
        ...(await all('asset_uploads')).filter(isPast).map(name('upload')),
      ];
    },
    close: () => Promise.resolve(),
  };
}
