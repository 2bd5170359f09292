import type { FileRecord, ListCursor } from '../catalog/file-catalog.ts';
import { readMany, recordBytes } from '../files/answer-room.ts';
import { mayAlways } from '../files/policy/decide.ts';
import { verdictOn } from '../files/policy/guard.ts';
import { visibleTo } from '../files/policy/visibility.ts';
import { encodeCursor, type WatchPosition } from './cursor.ts';
import { FRESH_MS } from './permission.ts';
import type { Watch } from './context.ts';
import { eventIdOf, type WatchItem } from './watch-item.ts';

/** Maximum number of records of a page. */
const MAX_RECORDS = 100;
const FIRST_RECORDS = 16;
/** Maximum size of a page, in bytes; a single larger record is a page of its own. */
const MAX_PAGE_BYTES = 256 * 1024;

type Scan = WatchPosition['scan'];

/** Files after a position; `isLast` if there are no more. */
interface Page {
  readonly files: readonly FileRecord[];
  readonly isLast: boolean;
}

/** Sends every existing file that the caller may read, newest first, and the checkpoint at their end. */
export async function* existingFiles(
  watch: Watch,
  log: string,
  from: ListCursor | 'start',
): AsyncGenerator<WatchItem> {
  const { context, caller, patience, sent, begun } = watch;
  let scan: Scan = from;
  let limit = FIRST_RECORDS;
  const positionAt = (place: Scan) => ({ log, scan: place, begun, sent: sent.newest });
  for (;;) {
    patience.position = positionAt(scan);
    const after: Scan = scan;
    const size = limit;
    const { files, isLast }: Page = yield* patience.until(() => readPage(watch, after, size));
    const readAt = performance.now();
    const needsFresh = mayAlways(caller, 'read') === undefined;
    for (const file of files) {
      await context.watches.turns.take();
      // The caller reads slowly: read the rest again, because permissions may have changed.
      if (needsFresh && performance.now() - readAt > FRESH_MS && scan !== after) break;
      scan = { createTime: file.createTime, id: file.id };
      // The filter of the catalog is wider than the access rules.
      if (!verdictOn(context, caller, 'read', file).allowed) continue;
      sent.add(file);
      patience.position = positionAt(scan);
      const event = { id: eventIdOf('created', file), type: 'created' as const, file, time: file.updateTime };
      yield { kind: 'event', event, cursor: encodeCursor(patience.position) };
    }
    if (isLast && isAt(scan, files.at(-1))) break;
    patience.position = positionAt(scan);
    yield* patience.checkpoint();
    limit = nextLimit(files, limit);
  }
  patience.position = positionAt(undefined);
  yield { kind: 'checkpoint', existingDone: true, cursor: encodeCursor(patience.position) };
}

async function readPage(
  { context, caller, filter, signal }: Watch,
  scan: Scan,
  limit: number,
): Promise<Page> {
  const visible = visibleTo(caller, context.policies.access);
  const after = typeof scan === 'object' ? scan : undefined;
  const query = {
    filter,
    showDeleted: false,
    limit,
    ...(visible && { visibleTo: visible }),
    ...(after && { after }),
  };
  const found = await readMany(signal, () => context.catalog.list(query, { signal }));
  let bytes = 0;
  const end = found.findIndex((file, at) => (bytes += recordBytes(file)) > MAX_PAGE_BYTES && at > 0);
  const files = end === -1 ? found : found.slice(0, end);
  return { files, isLast: found.length < limit && files.length === found.length };
}

function isAt(scan: Scan, file: FileRecord | undefined): boolean {
  return file === undefined || (typeof scan === 'object' && scan.id === file.id);
}

/** Larger pages for small records. */
function nextLimit(files: readonly FileRecord[], limit: number): number {
  const bytes = files.reduce((sum, file) => sum + recordBytes(file), 0);
  if (bytes === 0) return limit;
  const fitting = Math.ceil((MAX_PAGE_BYTES * files.length) / bytes);
  return Math.max(1, Math.min(MAX_RECORDS, 4 * limit, fitting));
}
