import type { Kysely, Transaction } from 'kysely';
import { AssetError } from '../../errors.ts';
import { assertStorable } from '../storable.ts';
import type { TransferredFile } from '../transfer.ts';
import type { SqlBackend } from './backend.ts';
import {
  fileColumns,
  importedColumns,
  insertRelations,
  relationRows,
  toRecord,
  type Tables,
} from './tables.ts';

/** The next files after an id, with their request keys. */
export async function exportFiles(
  db: Kysely<Tables>,
  { relations }: SqlBackend,
  after: string,
  limit: number,
): Promise<readonly TransferredFile[]> {
  const rows = await db
    .selectFrom('files')
    .select([...fileColumns(relations), 'files.request_key'])
    .where('id', '>', after)
    .orderBy('id')
    .limit(limit)
    .execute();
  return rows.map(({ request_key, ...row }) => ({
    record: toRecord(row),
    ...(request_key !== null && { requestKey: request_key }),
  }));
}

/** Writes a file unchanged; replaces an existing one. */
export async function importFile(trx: Transaction<Tables>, file: TransferredFile): Promise<void> {
  const { record, requestKey } = file;
  assertStorable(record);
  const row = importedColumns(record, requestKey);
  const written = await trx
    .insertInto('files')
    .values(row)
    .onConflict((conflict) => conflict.doNothing())
    .returning('id')
    .executeTakeFirst();
  if (!written) {
    if (requestKey !== undefined) await assertFree(trx, record.id, requestKey);
    await trx.updateTable('files').set(row).where('id', '=', record.id).execute();
    await trx.deleteFrom('file_relations').where('file_id', '=', record.id).execute();
  }
  await insertRelations(trx, relationRows(row, record.relations));
}

async function assertFree(trx: Transaction<Tables>, id: string, requestKey: string): Promise<void> {
  const files = trx.selectFrom('files').select('id').where('request_key', '=', requestKey);
  const other = await files.where('id', '!=', id).executeTakeFirst();
  if (!other) return;
  throw new AssetError('CATALOG_REFUSED', 'Another file has the request key of this one.', {
    metadata: { field: 'request_id' },
  });
}
