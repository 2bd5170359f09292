import { sql, type Kysely, type Transaction } from 'kysely';
import { valueRefused } from '../../errors/dependencies.ts';
import type { FileRecord } from '../file-catalog.ts';
import { assertStorable } from '../storable.ts';
import type { TransferredFile } from '../transfer.ts';
import type { SqlBackend } from './backend.ts';
import { fileColumns, insertRelations, newColumns, relationRows, toRecord, type FileRow } from './rows.ts';
import type { Tables } from './tables.ts';

/** The next files after an id, with their request keys. */
export async function exportFiles(
  db: Kysely<Tables>,
  backend: SqlBackend,
  after: string,
  limit: number,
): Promise<readonly TransferredFile[]> {
  const rows = selectTransferred(db, backend).where('id', '>', after).orderBy('id').limit(limit);
  return (await rows.execute()).map(toTransferred);
}

/** The files with these ids. */
export async function exportOnly(
  db: Kysely<Tables>,
  backend: SqlBackend,
  ids: readonly string[],
): Promise<readonly TransferredFile[]> {
  if (ids.length === 0) return [];
  return (await selectTransferred(db, backend).where('id', 'in', ids).execute()).map(toTransferred);
}

function selectTransferred(db: Kysely<Tables>, { relations }: SqlBackend) {
  return db.selectFrom('files').select([...fileColumns(relations), 'files.request_key']);
}

function toTransferred({
  request_key,
  ...row
}: FileRow & { readonly request_key: string | null }): TransferredFile {
  return { record: toRecord(row), ...(request_key !== null && { requestKey: request_key }) };
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
  throw valueRefused('request_id', 'another file has the request key of this one');
}

/** The columns of an imported file. */
function importedColumns(record: FileRecord, requestKey: string | undefined) {
  return {
    ...newColumns(record, requestKey, sql.lit(0)),
    create_time: record.createTime.getTime(),
    update_time: record.updateTime.getTime(),
    delete_time: record.deleteTime?.getTime() ?? null,
    purge_time: record.purgeTime?.getTime() ?? null,
    revision: countIn(record.revision),
    imported_revision: record.revision,
  };
}

/** The columns of the revision that follows another. */
export function nextRevision(revision: string) {
  return { revision: countIn(revision) + 1, imported_revision: null };
}

/** The number at the start of a revision; in every catalog it is the count of changes. */
function countIn(revision: string): number {
  const count = Number.parseInt(revision, 10);
  return Number.isSafeInteger(count + 1) ? count : 0;
}
