import { sql, type Kysely, type Transaction } from 'kysely';
import type { AssetError } from '../../errors/asset-error.ts';
import { valueRefused } from '../../errors/dependencies.ts';
import type { FileRecord } from '../file-catalog.ts';
import { assertStorable, isStorable } from '../storable.ts';
import { isRefusal, type TransferredFile } from '../transfer.ts';
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

/** Writes files unchanged; replaces existing ones. Resolves with those that are refused. */
export async function importFiles(
  trx: Transaction<Tables>,
  files: readonly TransferredFile[],
): Promise<ReadonlyMap<string, AssetError>> {
  const refused = new Map<string, AssetError>();
  for (const { record } of files) {
    try {
      assertStorable(record);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      refused.set(record.id, error);
    }
  }
  const taken = await takenKeys(trx, files);
  const seen = new Set<string>();
  for (const { record, requestKey } of files) {
    if (requestKey === undefined || refused.has(record.id)) continue;
    if (taken.has(requestKey) || seen.has(requestKey)) {
      refused.set(record.id, valueRefused('request_id', 'another file has the request key of this one'));
    }
    seen.add(requestKey);
  }
  const written = files.filter(({ record }) => !refused.has(record.id));
  const rows = written.map(({ record, requestKey }) => importedColumns(record, requestKey));
  if (rows.length === 0) return refused;
  const ids = rows.map(({ id }) => id);
  // A request key may go from one of them to another one.
  await trx
    .updateTable('files')
    .set({ request_key: null })
    .where('id', 'in', ids)
    .where('request_key', 'is not', null)
    .execute();
  await trx.deleteFrom('file_relations').where('file_id', 'in', ids).execute();
  await trx
    .insertInto('files')
    .values(rows)
    .onConflict((conflict) => conflict.column('id').doUpdateSet(excludedColumns(rows[0]!)))
    .execute();
  await insertRelations(
    trx,
    rows.flatMap((row, at) => relationRows(row, written[at]!.record.relations)),
  );
  return refused;
}

/** The request keys of these files that others have. */
async function takenKeys(
  trx: Transaction<Tables>,
  files: readonly TransferredFile[],
): Promise<ReadonlySet<string>> {
  const keys = files.flatMap(({ requestKey }) => requestKey ?? []).filter(isStorable);
  if (keys.length === 0) return new Set();
  const ids = files.map(({ record }) => record.id);
  const others = trx.selectFrom('files').select('request_key').where('request_key', 'in', keys);
  const rows = await others.where('id', 'not in', ids).execute();
  return new Set(rows.map(({ request_key }) => request_key!));
}

/** The columns of a row that was to be inserted. */
function excludedColumns(row: object) {
  const names = Object.keys(row).filter((name) => name !== 'id');
  return Object.fromEntries(names.map((name) => [name, sql.ref(`excluded.${name}`)]));
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
