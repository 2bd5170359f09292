import type { Change } from '../catalog/file-catalog.ts';
import { encodeCursor } from './cursor.ts';
import { meets } from './filter.ts';
import { Permissions } from './permission.ts';
import type { Watch } from './context.ts';
import { eventIdOf, type WatchItem } from './watch-item.ts';

/** How long after the existing files the log may still get changes that they already include, in milliseconds. */
const SETTLED_MS = 60_000;

/** Sends the changes after a position of the log. Ends only if the watch ends at the last change. */
export async function* changedFiles(watch: Watch, from: string): AsyncGenerator<WatchItem> {
  const { context, sent, patience, begun, once, signal } = watch;
  const { feed } = context;
  const settled = performance.now() + SETTLED_MS;
  let log = from;
  const standAt = (place: string) => {
    log = place;
    patience.position = { log, begun, sent: sent.newest };
  };
  standAt(log);
  for (;;) {
    const { version } = feed;
    const { changes, cursor } = yield* patience.until(() => feed.read(log, signal, once));
    for await (const item of eventsIn(watch, changes, standAt)) yield item;
    standAt(cursor);
    if (once && changes.length === 0) {
      yield { kind: 'checkpoint', existingDone: false, cursor: encodeCursor(patience.position!) };
      return;
    }
    yield* patience.checkpoint();
    if (changes.length > 0) continue;
    if (performance.now() > settled) sent.clear();
    await feed.changed(log, version, patience.left, signal);
  }
}

/** The events of a page. */
async function* eventsIn(
  { context, caller, filter, sent, patience, signal }: Watch,
  changes: readonly Change[],
  standAt: (cursor: string) => void,
): AsyncGenerator<WatchItem> {
  const permissions = new Permissions(context, caller);
  for (const [at, change] of changes.entries()) {
    if (sent.covers(change) || !meets(filter, change.record)) continue;
    await context.watches.turns.take();
    if (permissions.isStale) {
      const rest = changes.slice(at).filter(({ record }) => meets(filter, record));
      yield* patience.until(() => permissions.load(rest, signal));
    }
    if (!permissions.allows(change)) continue;
    const { type, record, time, cursor } = change;
    standAt(cursor);
    const event = { id: eventIdOf(type, record), type, file: record, time };
    yield { kind: 'event', event, cursor: encodeCursor(patience.position!) };
  }
}
