import { sql, type Kysely } from 'kysely';
import { branchesOf, type Branch } from '../branches.ts';
import type { FileFilter, FileRecords, ListCursor, SweepCursor } from '../file-catalog.ts';
import type { SqlBackend } from './backend.ts';
import { behind, fileColumns, type Tables } from './tables.ts';

/** What {@link FileRecords.list} takes. */
export type ListQuery = Parameters<FileRecords['list']>[0];

type Page = Pick<ListQuery, 'showDeleted' | 'after' | 'limit'>;

/**
 * The query of a page of a list; undefined if no file can be in it.
 *
 * A page is cut by what never changes in a record, so that no file which is there throughout a walk is missed or
 * seen twice. The clock is read when a record is written and not when it is committed: a file may
 * still turn up among older ones for as long as its transaction takes. A reader that polls for what is
 * new should look back over some seconds.
 */
export function listQuery(
  db: Kysely<Tables>,
  backend: SqlBackend,
  { filter, visibleTo, ...page }: ListQuery,
) {
  const [first, ...more] = branchesOf(filter, visibleTo);
  if (first === undefined) return undefined;
  const columns = fileColumns(backend.relations);
  if (more.length === 0) return branchQuery(db, first, page).select(columns);
  // Each branch gives its first files from an index of its own, so that what is merged is a page from each and no more.
  const pageOf = (branch: Branch) =>
    db
      .selectFrom(
        branchQuery(db, branch, page).select(['files.id as id', 'files.create_time as time']).as('branch'),
      )
      .select(['branch.id', 'branch.time']);
  const merged = more.reduce((union, branch) => union.union(pageOf(branch)), pageOf(first));
  const ids = db
    .selectFrom(merged.as('merged'))
    .select('merged.id')
    .orderBy('merged.time', 'desc')
    .orderBy('merged.id', 'desc')
    .limit(page.limit);
  return db
    .selectFrom('files')
    .where('files.id', 'in', ids)
    .select(columns)
    .orderBy('files.create_time', 'desc')
    .orderBy('files.id', 'desc');
}

/** The first files of a branch behind the cursor, in order. */
function branchQuery(db: Kysely<Tables>, { filter, notUsages, relation: second }: Branch, page: Page) {
  const { relation, owner, ...others } = filter;
  // By relation the order comes from the index of the relations, by anything else from one of the files.
  const time = relation ? ('file_relations.create_time' as const) : ('files.create_time' as const);
  const id = relation ? ('file_relations.file_id' as const) : ('files.id' as const);
  let query = db.selectFrom('files').$if(relation !== undefined, (from) =>
    from.innerJoin('file_relations', (join) =>
      join
        .onRef('file_relations.file_id', '=', 'files.id')
        .on('file_relations.name', '=', relation!.name)
        .on('file_relations.target', '=', relation!.id)
        .$call((on) => (owner === undefined ? on : on.on('file_relations.owner', '=', owner))),
    ),
  );
  for (const [column, value] of conditions(relation ? others : filter))
    query = query.where(`files.${column}`, '=', value);
  if (notUsages.length > 0) query = query.where('files.usage', 'not in', notUsages);
  if (second) {
    query = query.where((is) =>
      is.exists(
        is
          .selectFrom('file_relations as second')
          .select('second.file_id')
          .whereRef('second.file_id', '=', 'files.id')
          .where('second.name', '=', second.name)
          .where('second.target', '=', second.id),
      ),
    );
  }
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

/** Sums up the files of an owner, of one usage or of all. */
export function totalsQuery(db: Kysely<Tables>, owner: string, usage: string | undefined) {
  return db
    .selectFrom('files')
    .select(({ fn }) => [
      fn.countAll<number | string>().as('files'),
      fn.sum<number | string | null>('size_bytes').as('bytes'),
    ])
    .where('owner', '=', owner)
    .$if(usage !== undefined, (query) => query.where('usage', '=', usage!));
}

/** The files that are due to be purged behind `after`, those that are longest due first. */
export function purgeableQuery(db: Kysely<Tables>, now: Date, limit: number, after: SweepCursor | undefined) {
  return db
    .selectFrom('files')
    .select(['id', 'revision', 'imported_revision', 'purge_time'])
    .where('purge_time', '<=', now.getTime())
    .where('delete_time', 'is not', null)
    .$if(after !== undefined, (query) => query.where(behind('purge_time', after!)))
    .orderBy('purge_time')
    .orderBy('id')
    .limit(limit);
}
