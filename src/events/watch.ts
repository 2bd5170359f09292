import type { FileFilter } from '../catalog/file-catalog.ts';
import { permissionDenied } from '../errors/callers.ts';
import { tell } from '../files/policy/guard.ts';
import { visibleTo } from '../files/policy/visibility.ts';
import type { Caller } from '../identity/caller.ts';
import type { Watch, WatchContext } from './context.ts';
import { decodeCursor, encodeCursor, type WatchPosition } from './cursor.ts';
import { existingFiles } from './existing.ts';
import { changedFiles } from './follow.ts';
import { Patience } from './patience.ts';
import { SentFiles } from './sent-files.ts';
import type { WatchItem } from './watch-item.ts';

/** Where a watch starts, and which files it is about. */
export interface WatchRequest {
  /** The cursor of a message to continue after, or the start of a new watch. */
  readonly start: { readonly cursor: string } | 'now' | 'earliest' | 'existing';
  readonly filter: FileFilter;
  /** True to end with a checkpoint at the end of the log, instead of waiting for changes. */
  readonly once?: boolean;
}

/**
 * Watches the files that the caller may read: sends existing files if requested, then changes, and checkpoints while
 * there is nothing to send. Unless `once` is true, ends only with an error.
 *
 * @throws AssetError PERMISSION_DENIED for a caller that can read no file, FIELD_INVALID for an invalid cursor,
 *   CURSOR_EXPIRED, RELATION_UNKNOWN, RATE_LIMITED, SHUTTING_DOWN, CATALOG_UNAVAILABLE
 */
export async function* watchFiles(
  context: WatchContext,
  caller: Caller,
  { start, filter, once = false }: WatchRequest,
  signal: AbortSignal,
): AsyncGenerator<WatchItem> {
  authorizeWatch(context, caller, once);
  using slot = context.watches.enter();
  const ended = AbortSignal.any([signal, slot.drained]);
  await assertFilter(context, filter, ended);
  const position = await positionOf(context, start, ended);
  const { begun } = position;
  const watch: Watch = {
    ...{ context, caller, filter, begun, once, signal: ended },
    sent: new SentFiles(begun, position.sent),
    patience: new Patience(ended),
  };
  // No checkpoint at once: only a lasting watch tells its caller that it has begun.
  if (once) watch.patience.rest();
  let last: string | undefined;
  try {
    for await (const item of phases(watch, position)) {
      ended.throwIfAborted();
      watch.patience.rest();
      yield item;
      last = item.cursor;
    }
  } catch (error) {
    if (!slot.drained.aborted || signal.aborted) throw error;
    // The last position, so that the next replica need not read again what the caller may not see.
    const cursor = encodeCursor(watch.patience.position ?? position);
    if (cursor !== last) yield { kind: 'checkpoint', existingDone: false, cursor };
    throw slot.drained.reason as Error;
  }
}

/**
 * The cursor of the start of a watch.
 *
 * @throws AssetError like {@link watchFiles}
 */
export async function startCursor(
  context: WatchContext,
  caller: Caller,
  { start, filter }: WatchRequest,
  signal: AbortSignal,
): Promise<string> {
  authorizeWatch(context, caller, false);
  await assertFilter(context, filter, signal);
  return encodeCursor(await positionOf(context, start, signal));
}

async function* phases(watch: Watch, position: WatchPosition): AsyncGenerator<WatchItem> {
  if (position.scan !== undefined) yield* existingFiles(watch, position.log, position.scan);
  const { once, context } = watch;
  for await (const item of changedFiles(watch, position.log)) {
    yield item;
    // A subscription tells its deliveries itself.
    if (item.kind === 'event' && !once) context.observer?.sent(item.event.time);
  }
}

/** @param isQuiet - true to audit only refusals: for a subscription, whose creation was audited */
function authorizeWatch(context: WatchContext, caller: Caller, isQuiet: boolean): void {
  const visible = visibleTo(caller, context.policies.access);
  const rule = visible === undefined ? 'all-files' : visible.length > 0 ? 'visible-files' : 'nobody';
  if (isQuiet && rule !== 'nobody') return;
  if (!tell(context, caller, 'watch', '', { allowed: rule !== 'nobody', rule }))
    throw permissionDenied('watch');
}

/** Throws the error of ListFiles for a filter that the catalog cannot apply. */
async function assertFilter(
  { catalog }: WatchContext,
  filter: FileFilter,
  signal: AbortSignal,
): Promise<void> {
  const { relation } = filter;
  if (relation) await catalog.list({ filter: { relation }, showDeleted: true, limit: 1 }, { signal });
}

async function positionOf(
  { catalog }: WatchContext,
  start: WatchRequest['start'],
  signal: AbortSignal,
): Promise<WatchPosition> {
  if (typeof start === 'object') {
    const position = decodeCursor(start.cursor);
    // Reports an invalid cursor now, not after all existing files.
    await catalog.changes.read(position.log, 1, { signal });
    return position;
  }
  const at = start === 'earliest' ? start : 'now';
  const log = await catalog.changes.position(at, { signal });
  if (start !== 'existing') return { log, begun: 0, sent: [] };
  return { log, scan: 'start', begun: Date.now(), sent: [] };
}
