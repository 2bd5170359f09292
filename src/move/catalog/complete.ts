import type { CatalogCall } from '../../catalog/file-catalog.ts';
import { isAssetError } from '../../errors/asset-error.ts';
import { advance, flowOf, type Flow } from './flow.ts';
import { eraOf, MovedChanges } from './moved-changes.ts';
import type { MovedCatalogs } from './progress.ts';
import { MoveRefused } from '../refused.ts';
import type { CatalogRow } from './row.ts';
import { exclusively } from './exclusive.ts';
import { followOn } from './start.ts';
import type { MoveOptions } from './exclusive.ts';

/** Subscriptions of one page. */
const PAGE = 500;

/** Tries to move a subscription that its workers change too. */
const TRIES = 10;

/** A stored subscription, as far as a move is concerned. */
export interface MovedSubscription {
  readonly name: string;
  /** Cursor of the change log at which it stands. */
  readonly log: string;
  /** Its stored state at another cursor. */
  readonly at: (log: string) => string;
}

/** Options of {@link completeMove}. */
export interface CompleteOptions extends MoveOptions {
  /** Reads the stored state of a subscription. */
  readonly subscriptionIn: (state: string) => MovedSubscription;
}

/**
 * Ends a move for good: nothing is followed any more, and the old catalog is no longer needed.
 *
 * @throws MoveRefused if the target is not active, or a subscription has changes left in the old log
 */
export function completeMove(
  catalogs: MovedCatalogs,
  options: CompleteOptions,
  signal: AbortSignal,
): Promise<{ readonly isChanged: boolean; readonly row: CatalogRow }> {
  return exclusively(catalogs, options, signal, async (held) => {
    const flow = await flowOf(catalogs, { signal: held });
    if (flow?.row.state === 'completed') return { isChanged: false, row: flow.row };
    if (flow?.row.state !== 'switched') {
      throw new MoveRefused('the source is still active: run `asset-service catalog move switch` first');
    }
    // The old catalog is left as it should be, should anybody need it.
    const { refused } = await followOn(flow, options, held);
    if (refused[0]) {
      throw new MoveRefused(
        `the old catalog refuses ${refused.length} records, the first is ${refused[0].id}: ${refused[0].reason}`,
      );
    }
    const left = await moveSubscriptions(flow, options, held);
    if (left.length > 0) throw eventsLeft(left);
    return { isChanged: true, row: await advance(flow, { state: 'completed' }, held) };
  });
}

/**
 * Takes subscriptions that stand at the end of the old log to the start of the new one. Resolves with the names of those
 * that have events left there. If `flow` has the active catalog alone, these events are lost.
 */
export async function moveSubscriptions(
  flow: Flow,
  { subscriptionIn }: Pick<CompleteOptions, 'subscriptionIn'>,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const left: string[] = [];
  for (let from: string | undefined; ;) {
    const { items, next } = await flow.source.exportState('subscription', from, PAGE, { signal });
    for (const { key, value } of items) {
      if (value.owner === 'service') continue;
      const name = await moveSubscription(flow, key, subscriptionIn, signal);
      if (name !== undefined) left.push(name);
    }
    if (next === undefined) return left;
    from = next;
  }
}

function eventsLeft(left: readonly string[]): MoveRefused {
  const names = left.slice(0, 10).map((name) => JSON.stringify(name));
  return new MoveRefused(
    `${left.length} subscriptions have events left from before the switch: ${names.join(', ')}. ` +
      'Let their workers take them, or delete the subscriptions; then run this again',
  );
}

/** Resolves with its name if it must stay where it is. */
async function moveSubscription(
  flow: Flow,
  key: string,
  subscriptionIn: CompleteOptions['subscriptionIn'],
  signal: AbortSignal,
): Promise<string | undefined> {
  const { subscriptions } = flow.source;
  for (let i = 0; i < TRIES; i++) {
    const stored = await subscriptions.get(key, { signal });
    if (stored === undefined) return undefined;
    const { name, log, at } = subscriptionIn(stored.state);
    if (eraOf(log) === flow.row.eras.length - 1) return undefined;
    const to = await endOf(flow, log, { signal });
    if (to === 'expired') return flow.source === flow.target ? name : undefined;
    if (to === undefined) return name;
    if (await subscriptions.update(key, stored.revision, at(to), { signal })) return undefined;
  }
  return subscriptionIn((await subscriptions.get(key, { signal }))!.state).name;
}

/** The start of the last part of the log, if no change is between; `expired` if the log no longer has what follows. */
async function endOf(flow: Flow, log: string, call: CatalogCall): Promise<string | undefined> {
  const { source, target, row } = flow;
  const changes = new MovedChanges({
    row,
    reader: () => Promise.resolve(source),
    withId: (id) => (id === row.active ? source : target === source ? undefined : target),
    write: (write) => write(source),
    look: () => Promise.resolve(),
  });
  try {
    const page = await changes.read(log, 1, call);
    return eraOf(page.cursor) < row.eras.length - 1 ? undefined : lastStart(row);
  } catch (error) {
    if (isAssetError(error, 'CURSOR_EXPIRED')) return 'expired';
    throw error;
  }
}

/** Cursor of the start of the last part of the log. */
function lastStart({ eras }: CatalogRow): string {
  return `${eras.length - 1}-${eras.at(-1)!.start}`;
}
