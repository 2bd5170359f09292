import type { FileRecord, ListCursor, SweepCursor } from '../../catalog/file-catalog.ts';
import { sizeOfBytes } from '../bytes.ts';
import type { SweepContext } from './run.ts';

/** Thrown if a deep sweep removes nothing because the catalog may belong to another store. */
export class NotProven extends Error {
  readonly reason = 'NOT_PROVEN';
}

/** Number of files whose blobs are checked to prove that store and catalog belong together. */
const SAMPLE = 20;
const RECORDS_PER_PAGE = 500;
const MAX_PAGES = 20;
const ENTRIES_PER_PAGE = 500;

/** A time after every expiry. */
const FAR = new Date('9999-12-31T23:59:59.999Z');

/**
 * Resolves if the catalog has files and most of the latest have their blobs in the store.
 *
 * @throws NotProven
 */
export async function assertPaired({ store, catalog }: SweepContext, signal: AbortSignal): Promise<void> {
  const sample: FileRecord[] = [];
  let after: ListCursor | undefined;
  for (let page = 0; page < MAX_PAGES && sample.length < SAMPLE; page++) {
    const query = { filter: {}, showDeleted: true, limit: RECORDS_PER_PAGE, ...(after && { after }) };
    const files = await catalog.list(query, { signal });
    // Files older than the service have no blob in its store.
    sample.push(...files.filter(({ sha256 }) => sha256 !== undefined));
    const last = files.at(-1);
    if (last === undefined || files.length < RECORDS_PER_PAGE) break;
    after = { createTime: last.createTime, id: last.id };
  }
  const looked = sample.slice(0, SAMPLE);
  if (looked.length === 0) {
    throw new NotProven('the catalog has no file of the service: is it the right one? Nothing was removed');
  }
  let there = 0;
  for (const { id } of looked) if ((await sizeOfBytes(store, id, { signal })) !== undefined) there++;
  if (there * 2 > looked.length) return;
  throw new NotProven(
    `of the ${looked.length} latest files of the catalog only ${there} have their bytes in the store: is it the store of ` +
      'this catalog? Nothing was removed',
  );
}

/**
 * The ids that the catalog does not know: without a reservation, a session and (if `records` is true) a record. The
 * store has data under all given ids.
 *
 * An id is reserved, or its session opened, before anything is stored under it. So an id without both, for which
 * afterwards no record is found, can never become a file.
 */
export async function unknownIds(
  context: Pick<SweepContext, 'catalog'>,
  ids: readonly string[],
  records: boolean,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const { catalog } = context;
  const without = async (some: readonly string[]) => {
    if (!records || some.length === 0) return some;
    const files = await catalog.get(some, { signal });
    return some.filter((id) => !files.has(id));
  };
  // Most ids are files and need no further check.
  const unknown = await without(ids);
  if (unknown.length === 0) return new Set();
  const held = await heldIds(context, signal);
  return new Set(await without(unknown.filter((id) => !held.has(id))));
}

/** The ids of all reservations and sessions, open and closed. */
async function heldIds(
  { catalog }: Pick<SweepContext, 'catalog'>,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const ids = new Set<string>();
  let after: SweepCursor | undefined;
  for (;;) {
    const page = await catalog.uploads.listPast(FAR, ENTRIES_PER_PAGE, {
      signal,
      ...(after && { after }),
    });
    for (const id of page.flatMap(({ fileIds }) => fileIds)) ids.add(id);
    const last = page.at(-1);
    if (last === undefined || page.length < ENTRIES_PER_PAGE) return ids;
    after = { time: last.expireTime, id: last.id };
  }
}
