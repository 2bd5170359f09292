import { sql, type RawBuilder, type SqlBool, type Transaction } from 'kysely';
import type {
  FileChange,
  FileDescription,
  FileRecord,
  JsonValue,
  NewFileRecord,
  SweepCursor,
} from '../file-catalog.ts';
import type { FileRelationsTable, FilesTable, Tables } from './tables.ts';

/** A row of `files` as selected. */
export type FileRow = Omit<FilesTable, 'media_type' | 'media_kind' | 'request_key'> & {
  /** A JSON array of name and target, in order. */
  relations: string;
};

/** The columns of a {@link FileRow}. */
export function fileColumns(relations: RawBuilder<string>) {
  return [
    ...(['files.id', 'files.name', 'files.content_type', 'files.size_bytes', 'files.sha256'] as const),
    ...(['files.crc32c', 'files.owner', 'files.usage', 'files.created_by', 'files.created_for'] as const),
    ...([
      'files.revision',
      'files.imported_revision',
      'files.create_time',
      'files.update_time',
      'files.delete_time',
      'files.purge_time',
    ] as const),
    sql<string>`cast(files.attributes as text)`.as('attributes'),
    relations.as('relations'),
  ] as const;
}

/** The condition that a row is after a position in the order of a time and the id. */
export function behind(column: string, { time, id }: SweepCursor): RawBuilder<SqlBool> {
  return sql<SqlBool>`(${sql.ref(column)}, id) > (${time.getTime()}, ${id})`;
}

/** The columns of a content type. */
export function contentTypeColumns(contentType: string) {
  const mediaType = contentType.split(';', 1)[0]!.trim().toLowerCase();
  return { content_type: contentType, media_type: mediaType, media_kind: mediaType.split('/', 1)[0]! };
}

/** The columns of a new file. */
export function newColumns(record: NewFileRecord, requestKey: string | undefined, now: RawBuilder<number>) {
  return {
    id: record.id,
    name: record.name,
    ...contentTypeColumns(record.contentType),
    size_bytes: record.sizeBytes,
    sha256: record.sha256 ?? null,
    crc32c: record.crc32c ?? null,
    owner: record.owner,
    usage: record.usage,
    attributes: JSON.stringify(mergeAttributes({}, record.attributes)),
    created_by: record.createdBy,
    created_for: record.createdFor,
    create_time: now,
    update_time: now,
    delete_time: null,
    purge_time: null,
    request_key: requestKey ?? null,
    revision: 1,
    imported_revision: null,
  };
}

/** The changed columns of a file. */
export function changedColumns(old: FileRecord, change: FileChange) {
  const { name, owner, usage, contentType, attributes, deleteTime, purgeTime } = change;
  return {
    ...(name !== undefined && { name }),
    ...(owner !== undefined && { owner }),
    ...(usage !== undefined && { usage }),
    ...(contentType !== undefined && contentTypeColumns(contentType)),
    ...(attributes && { attributes: JSON.stringify(mergeAttributes(old.attributes, attributes)) }),
    ...(deleteTime !== undefined && { delete_time: deleteTime?.getTime() ?? null }),
    ...(purgeTime !== undefined && { purge_time: purgeTime?.getTime() ?? null }),
  };
}

/** The relation rows of a file. */
export function relationRows(
  file: { readonly id: string; readonly create_time: number | string; readonly owner: string },
  relations: FileDescription['relations'],
): FileRelationsTable[] {
  return Object.entries(relations).flatMap(([name, targets]) =>
    targets.map((target, position) => ({
      ...{ file_id: file.id, create_time: file.create_time, owner: file.owner },
      ...{ name, position, target },
    })),
  );
}

/** Rows per statement: SQLite accepts 32,766 values in one, PostgreSQL 65,535. */
const ROWS = 1_000;

/** Inserts relation rows. */
export async function insertRelations(
  trx: Transaction<Tables>,
  rows: readonly FileRelationsTable[],
): Promise<void> {
  for (let i = 0; i < rows.length; i += ROWS) {
    await trx
      .insertInto('file_relations')
      .values(rows.slice(i, i + ROWS))
      .execute();
  }
}

/** `old` with the entries of `change`; null removes one. */
function mergeAttributes(
  old: FileDescription['attributes'],
  change: FileDescription['attributes'],
): FileDescription['attributes'] {
  // fromEntries creates a property of any name, including `__proto__`.
  const merged = Object.fromEntries([...Object.entries(old), ...Object.entries(change)]);
  return Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== null));
}

/** The record in a row. */
export function toRecord(row: FileRow): FileRecord {
  const relations = new Map<string, string[]>();
  for (const [name, target] of JSON.parse(row.relations) as [string, string][]) {
    const targets = relations.get(name);
    if (targets) targets.push(target);
    else relations.set(name, [target]);
  }
  return {
    id: row.id,
    name: row.name,
    contentType: row.content_type,
    sizeBytes: Number(row.size_bytes),
    sha256: row.sha256 === null ? undefined : new Uint8Array(row.sha256),
    crc32c: row.crc32c === null ? undefined : Number(row.crc32c),
    owner: row.owner,
    usage: row.usage,
    relations: Object.fromEntries(relations),
    attributes: JSON.parse(row.attributes) as Record<string, JsonValue>,
    createdBy: row.created_by,
    createdFor: row.created_for,
    createTime: new Date(Number(row.create_time)),
    updateTime: new Date(Number(row.update_time)),
    deleteTime: row.delete_time === null ? undefined : new Date(Number(row.delete_time)),
    purgeTime: row.purge_time === null ? undefined : new Date(Number(row.purge_time)),
    revision: row.imported_revision ?? String(row.revision),
  };
}

/** A record as JSON text, as it is kept in the change log. */
export function recordToJson(record: FileRecord): string {
  const { sha256, createTime, updateTime, deleteTime, purgeTime, ...others } = record;
  return JSON.stringify({
    ...others,
    ...(sha256 && { sha256: Buffer.from(sha256).toString('base64') }),
    ...{ createTime: createTime.getTime(), updateTime: updateTime.getTime() },
    ...(deleteTime && { deleteTime: deleteTime.getTime() }),
    ...(purgeTime && { purgeTime: purgeTime.getTime() }),
  });
}

/** The text of {@link recordToJson} for a file that is being created, whose times the database adds. */
export function newRecordToJson(record: NewFileRecord): RawBuilder<string> {
  const { id, name, contentType, sizeBytes, sha256, crc32c, owner, usage, createdBy, createdFor } = record;
  const relations = Object.entries(record.relations).filter(([, targets]) => targets.length > 0);
  const text = JSON.stringify({
    ...{ id, name, contentType, sizeBytes, crc32c, owner, usage, createdBy, createdFor, revision: '1' },
    relations: Object.fromEntries(relations),
    attributes: mergeAttributes({}, record.attributes),
    ...(sha256 && { sha256: Buffer.from(sha256).toString('base64') }),
  });
  return sql<string>`cast(${text.slice(0, -1)} as text) || ',"createTime":' || create_time || ',"updateTime":' || update_time || '}'`;
}

type RecordJson = Omit<FileRecord, 'sha256' | 'createTime' | 'updateTime' | 'deleteTime' | 'purgeTime'> & {
  readonly sha256?: string;
  readonly createTime: number;
  readonly updateTime: number;
  readonly deleteTime?: number;
  readonly purgeTime?: number;
};

/** The record in a text of {@link recordToJson}. */
export function recordFromJson(text: string): FileRecord {
  const { sha256, createTime, updateTime, deleteTime, purgeTime, ...others } = JSON.parse(text) as RecordJson;
  return {
    ...others,
    crc32c: others.crc32c,
    sha256: sha256 === undefined ? undefined : new Uint8Array(Buffer.from(sha256, 'base64')),
    ...{ createTime: new Date(createTime), updateTime: new Date(updateTime) },
    deleteTime: deleteTime === undefined ? undefined : new Date(deleteTime),
    purgeTime: purgeTime === undefined ? undefined : new Date(purgeTime),
  };
}
