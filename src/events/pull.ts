import { isAssetError } from '../errors/asset-error.ts';
import { rateLimited } from '../errors/limits.ts';
import { AnswerRoom, recordBytes } from '../files/answer-room.ts';
import { verdictOn } from '../files/policy/guard.ts';
import type { Caller } from '../identity/caller.ts';
import type { WatchContext } from './context.ts';
import { decodeCursor } from './cursor.ts';
import { changeSubscription, keyOf, MAX_SUBSCRIPTIONS, newToken, ownerOf } from './subscriptions.ts';
import {
  deliverable,
  endLeases,
  MAX_TAKEN,
  type SubscriptionState,
  type TakenEvent,
} from './subscription-state.ts';
import type { Delivery, FileEvent } from './watch-item.ts';
import { startCursor, watchFiles, type WatchRequest } from './watch.ts';

/**
 * Interval at which a waiting call reads the subscription, in milliseconds: while other workers have leases, and
 * otherwise. Rejected and replayed events are not in the log, so the log does not wake the call for them.
 */
const BUSY_LOOK_MS = 500;
const IDLE_LOOK_MS = 3_000;

/** Suggested retry delay if the caller has too many subscriptions, in milliseconds. */
const RETRY_MS = 60_000;

/** A request for events. */
export interface PullRequest {
  readonly subscription: string;
  /** Where it starts if it is new. */
  readonly start: WatchRequest['start'];
  /** Its filter if it is new. */
  readonly filter: WatchRequest['filter'];
  readonly maxEvents: number;
  readonly leaseMs: number;
  readonly maxAttempts: number;
  /** How long to wait for the first event, in milliseconds. */
  readonly waitMs: number;
}

/**
 * Leases the next events of a subscription to the caller. Creates the subscription if there is none.
 *
 * @throws AssetError like `watchFiles`; RATE_LIMITED if the caller has too many subscriptions
 */
export async function pullEvents(
  context: WatchContext,
  caller: Caller,
  request: PullRequest,
  signal: AbortSignal,
): Promise<readonly Delivery[]> {
  await begin(context, caller, request, signal);
  const end = performance.now() + request.waitMs;
  const { drained } = context.watches;
  const ended = AbortSignal.any([signal, drained]);
  for (;;) {
    const { version } = context.feed;
    let log = '';
    let isShared = false;
    const change = async (state: SubscriptionState) => {
      const deliveries = await take(context, caller, state, request, signal);
      log = decodeCursor(state.cursor).log;
      isShared = state.taken.length > 0;
      return deliveries;
    };
    const deliveries = await changeSubscription(context, caller, request.subscription, change, signal);
    const left = end - performance.now();
    if (deliveries.length > 0 || left <= 0) {
      for (const delivery of deliveries) context.observer?.delivered(delivery);
      return deliveries;
    }
    try {
      const look = isShared ? BUSY_LOOK_MS : IDLE_LOOK_MS;
      await context.feed.changed(log, version, Math.min(left, look), ended);
    } catch (error) {
      // The replica stops: the caller's next request goes to another one.
      if (drained.aborted && !signal.aborted) return [];
      throw error;
    }
  }
}

/** Adds the subscription if there is none. */
async function begin(
  context: WatchContext,
  caller: Caller,
  request: PullRequest,
  signal: AbortSignal,
): Promise<void> {
  const { subscriptions } = context.catalog;
  const { subscription: name, filter } = request;
  const key = keyOf(caller, name);
  if ((await subscriptions.get(key, { signal })) !== undefined) return;
  const cursor = await startCursor(context, caller, request, signal);
  const owner = ownerOf(caller);
  if ((await subscriptions.list(owner, MAX_SUBSCRIPTIONS, { signal })).length === MAX_SUBSCRIPTIONS) {
    throw rateLimited('subscriptions', `you have ${MAX_SUBSCRIPTIONS} subscriptions: delete one`, RETRY_MS);
  }
  const state: SubscriptionState = { name, createdAt: Date.now(), filter, cursor, taken: [], parked: [] };
  // If another worker created it meanwhile, that one is used.
  await subscriptions.create(key, owner, JSON.stringify(state), { signal });
}

/** Leases the next events to the caller. */
async function take(
  context: WatchContext,
  caller: Caller,
  state: SubscriptionState,
  request: PullRequest,
  signal: AbortSignal,
): Promise<readonly Delivery[]> {
  const { maxEvents, maxAttempts, leaseMs } = request;
  endLeases(state, Date.now());
  const events = new Map<TakenEvent, FileEvent>();
  const room = new AnswerRoom();
  let isFull = false;
  for (const taken of deliverable(state, Date.now(), maxEvents)) {
    const event = await eventOf(context, caller, state, taken, signal);
    isFull = event !== undefined && !room.take(recordBytes(event.file));
    if (isFull) break;
    if (event) events.set(taken, event);
    // The caller may no longer read the file, or it is gone.
    else state.taken = state.taken.filter((other) => other !== taken);
  }
  if (!isFull && events.size < maxEvents && state.taken.length < MAX_TAKEN) {
    const watch = { start: { cursor: state.cursor }, filter: state.filter, once: true };
    for await (const item of watchFiles(context, caller, watch, signal)) {
      const before = state.cursor;
      state.cursor = item.cursor;
      if (item.kind !== 'event') continue;
      const { id, type, file } = item.event;
      const isFree = !state.taken.some(({ fileId }) => fileId === file.id);
      const taken: TakenEvent = {
        ...{ eventId: id, fileId: file.id, type, before, attempts: 0, until: 0, token: '' },
        ...{ maxAttempts, reason: '' },
      };
      state.taken.push(taken);
      // An event that does not fit into the answer is delivered by the next call.
      if (isFree && !room.take(recordBytes(file))) break;
      if (isFree) events.set(taken, item.event);
      if (events.size === maxEvents || state.taken.length === MAX_TAKEN) break;
    }
  }
  const until = Date.now() + leaseMs;
  return [...events].map(([taken, event]) => {
    Object.assign(taken, { token: newToken(), attempts: taken.attempts + 1, until, maxAttempts });
    return { event, token: taken.token, attempt: taken.attempts, leaseExpireTime: new Date(until) };
  });
}

/** Reads an event that was taken earlier; undefined if the caller may no longer see it. */
async function eventOf(
  context: WatchContext,
  caller: Caller,
  { filter }: SubscriptionState,
  { before, eventId, fileId, type }: TakenEvent,
  signal: AbortSignal,
): Promise<FileEvent | undefined> {
  try {
    const watch = { start: { cursor: before }, filter, once: true };
    for await (const item of watchFiles(context, caller, watch, signal)) {
      if (item.kind === 'event') return item.event.id === eventId ? item.event : undefined;
    }
    return undefined;
  } catch (error) {
    if (!isAssetError(error, 'CURSOR_EXPIRED')) throw error;
    // The change was trimmed from the log: use the current record instead.
    const file = await context.records.get(fileId, signal);
    if (!file || !verdictOn(context, caller, 'read', file).allowed) return undefined;
    return { id: eventId, type, file, time: file.updateTime };
  }
}
