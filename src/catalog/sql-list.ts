import { sql, type Kysely } from 'kysely';
import type { FileCatalog, FileFilter, ListCursor } from './file-catalog.ts';
import type { SqlBackend } from './sql-backend.ts';
import { fileColumns, type Tables } from './sql-tables.ts';

/** What {@link FileCatalog.list} takes. */
export type ListQuery = Parameters<FileCatalog['list']>[0];

/**
 * The query of a page of a list.
 *
 * A page is cut by what never changes in a record, so that no file which is there throughout a walk is missed or
 * seen twice. The clock is read when a record is written and not when it is committed: a file may
 * still turn up among older ones for as long as its transaction takes. A reader that polls for what is
 * new should look back over some seconds.
 */
export function listQuery(db: Kysely<Tables>, backend: SqlBackend, { filter, ...page }: ListQuery) {
  const { relation } = filter;
  // By relation the order comes from the index of the relations, by anything else from one of the files.
  const time = relation ? ('file_relations.create_time' as const) : ('files.create_time' as const);
  const id = relation ? ('file_relations.file_id' as const) : ('files.id' as const);
  let query = db
    .selectFrom('files')
    .$if(relation !== undefined, (from) =>
      from.innerJoin('file_relations', (join) =>
        join
          .onRef('file_relations.file_id', '=', 'files.id')
          .on('file_relations.name', '=', relation!.name)
          .on('file_relations.target', '=', relation!.id),
      ),
    )
    .select(fileColumns(backend.relations));
  for (const [column, value] of conditions(filter)) query = query.where(`files.${column}`, '=', value);
  if (!page.showDeleted) query = query.where('files.delete_time', 'is', null);
  const { createTimeFrom, createTimeTo } = filter;
  if (createTimeFrom) query = query.where(sql.ref<number>(time), '>=', createTimeFrom.getTime());
  if (createTimeTo) query = query.where(sql.ref<number>(time), '<', createTimeTo.getTime());
  if (page.after) query = query.where(isAfter(time, id, page.after));
  return query.orderBy(sql.ref(time), 'desc').orderBy(sql.ref(id), 'desc').limit(page.limit);
}

/** The columns that must have one value. */
function* conditions({ owner, usage, contentType }: FileFilter) {
  if (owner !== undefined) yield ['owner', owner] as const;
  if (usage !== undefined) yield ['usage', usage] as const;
  if (contentType === undefined) return;
  const type = contentType.toLowerCase();
  if (type.endsWith('/*')) yield ['media_kind', type.slice(0, -2)] as const;
  else yield ['media_type', type] as const;
}

function isAfter(time: string, id: string, cursor: ListCursor) {
  return sql<boolean>`(${sql.ref(time)}, ${sql.ref(id)}) < (${cursor.createTime.getTime()}, ${cursor.id})`;
}
