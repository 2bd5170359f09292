import { sql, type Kysely } from 'kysely';
import { branchesOf, type Branch } from '../list-branches.ts';
import type { FileFilter, FileRecords, ListCursor, SweepCursor } from '../file-catalog.ts';
import type { SqlBackend } from './backend.ts';
import { behind, fileColumns } from './rows.ts';
import type { Tables } from './tables.ts';

/** Parameters of {@link FileRecords.list}. */
export type ListQuery = Parameters<FileRecords['list']>[0];

type Page = Pick<ListQuery, 'showDeleted' | 'after' | 'limit'>;

/**
 * The query of one page of a list; undefined if the list is empty.
 *
 * Pages continue after values that never change in a record, so a file that exists during the whole iteration is
 * returned exactly once. The creation time is taken when a record is written, not when it is committed: a file may
 * appear among older ones as late as its transaction takes. A reader that polls for new files should look back a
 * few seconds.
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
  // Each branch reads its first files from its own index, so that only one page per branch is merged.
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

/** The first files of a branch after the cursor, in order. */
function branchQuery(db: Kysely<Tables>, { filter, notUsages, relation: second }: Branch, page: Page) {
  const { relation, owner, ...others } = filter;
  // By relation the order comes from the index of relations, otherwise from one of files.
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

/** The columns with a required value. */
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

/** Sums up an owner's files, in one usage or all. */
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

/** The files due to be purged after `after`, those due longest first. */
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
