import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pLimit, { type LimitFunction } from 'p-limit';
import type { StoredSubscription } from '../catalog/file-catalog.ts';
import { deliveryLost, subscriptionNotFound } from '../errors/changes.ts';
import { catalogUnavailable } from '../errors/dependencies.ts';
import { callerIds, callerKey, type Caller } from '../identity/caller.ts';
import type { WatchContext } from './context.ts';
import {
  fail,
  findDelivery,
  parseState,
  replay,
  type ParkedEvent,
  type SubscriptionState,
} from './subscription-state.ts';

/** Maximum number of subscriptions of one caller. */
export const MAX_SUBSCRIPTIONS = 100;

/** Maximum number of attempts to change a subscription that other replicas change too. */
const ATTEMPTS = 40;

/** Maximum number of deliveries of a replayed event. */
const REPLAY_ATTEMPTS = 5;

/** One queue per subscription: changes by this process do not conflict with each other. */
const turns = new Map<string, { readonly run: LimitFunction; users: number }>();

/** Key of a caller's subscriptions. */
export function ownerOf(caller: Caller): string {
  return hash(callerKey(callerIds(caller)));
}

/** Key of one subscription. */
export function keyOf(caller: Caller, name: string): string {
  return hash(`${ownerOf(caller)} ${name}`);
}

/**
 * Changes a subscription by compare-and-set; retries if it was changed meanwhile.
 *
 * @param change - changes the state in place and gives the result; may be called several times
 * @throws AssetError SUBSCRIPTION_NOT_FOUND, and what `change` throws
 */
export function changeSubscription<T>(
  { catalog, observer }: WatchContext,
  caller: Caller,
  name: string,
  change: (state: SubscriptionState) => T | Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const { subscriptions } = catalog;
  return compareAndSet(catalog, caller, name, signal, async ({ key, state: before, revision }) => {
    const state = parseState(before);
    const parkedBefore = state.parked.length;
    const value = await change(state);
    const text = JSON.stringify(state);
    const isSet = text === before || (await subscriptions.update(key, revision, text, { signal }));
    if (!isSet) return undefined;
    const parked = state.parked.length - parkedBefore;
    if (parked > 0) observer?.parked(parked);
    return { value };
  });
}

/** Acknowledges a delivery. Throws DELIVERY_LOST, SUBSCRIPTION_NOT_FOUND. */
export function ackEvent(
  context: WatchContext,
  caller: Caller,
  name: string,
  token: string,
  signal: AbortSignal,
) {
  return changeSubscription(
    context,
    caller,
    name,
    (state) => {
      state.taken.splice(deliveryAt(state, token), 1);
    },
    signal,
  );
}

/** Rejects a delivery; returns true if its event is parked. Throws like {@link ackEvent}. */
export function rejectEvent(
  context: WatchContext,
  caller: Caller,
  name: string,
  { token, reason }: { readonly token: string; readonly reason: string },
  signal: AbortSignal,
): Promise<boolean> {
  const change = (state: SubscriptionState) =>
    fail(state, state.taken[deliveryAt(state, token)]!, reason || 'no reason was given', Date.now());
  return changeSubscription(context, caller, name, change, signal);
}

/** Extends a lease; returns its new end. Throws like {@link ackEvent}. */
export function extendLease(
  context: WatchContext,
  caller: Caller,
  name: string,
  { token, leaseMs }: { readonly token: string; readonly leaseMs: number },
  signal: AbortSignal,
): Promise<Date> {
  const change = (state: SubscriptionState) => {
    const until = Date.now() + leaseMs;
    state.taken[deliveryAt(state, token)]!.until = until;
    return new Date(until);
  };
  return changeSubscription(context, caller, name, change, signal);
}

/** The caller's subscriptions, by name. */
export async function listSubscriptions(
  { catalog }: WatchContext,
  caller: Caller,
  signal: AbortSignal,
): Promise<readonly SubscriptionState[]> {
  const stored = await catalog.subscriptions.list(ownerOf(caller), MAX_SUBSCRIPTIONS, { signal });
  return stored.map(({ state }) => parseState(state)).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The parked events of a subscription, oldest first. Throws SUBSCRIPTION_NOT_FOUND. */
export async function listParked(
  context: WatchContext,
  caller: Caller,
  name: string,
  signal: AbortSignal,
): Promise<readonly ParkedEvent[]> {
  return parseState((await stored(context, caller, name, signal)).state).parked;
}

/** Delivers parked events again, all if `eventIds` is empty; returns how many. Throws SUBSCRIPTION_NOT_FOUND. */
export function replayParked(
  context: WatchContext,
  caller: Caller,
  name: string,
  eventIds: readonly string[],
  signal: AbortSignal,
): Promise<number> {
  return changeSubscription(
    context,
    caller,
    name,
    (state) => replay(state, eventIds, REPLAY_ATTEMPTS),
    signal,
  );
}

/** Removes a subscription. Throws SUBSCRIPTION_NOT_FOUND. */
export function deleteSubscription(
  { catalog }: WatchContext,
  caller: Caller,
  name: string,
  signal: AbortSignal,
): Promise<void> {
  return compareAndSet(catalog, caller, name, signal, async ({ key, revision }) =>
    (await catalog.subscriptions.remove(key, revision, { signal })) ? { value: undefined } : undefined,
  );
}

/** A new token of a delivery. */
export function newToken(): string {
  return randomBytes(18).toString('base64url');
}

/**
 * Repeats a write of the present subscription until it is made: `write` resolves with undefined if the subscription was
 * changed meanwhile. Throws SUBSCRIPTION_NOT_FOUND.
 */
function compareAndSet<T>(
  catalog: WatchContext['catalog'],
  caller: Caller,
  name: string,
  signal: AbortSignal,
  write: (present: StoredSubscription) => Promise<{ readonly value: T } | undefined>,
): Promise<T> {
  return inTurn(keyOf(caller, name), async () => {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const done = await write(await stored({ catalog }, caller, name, signal));
      if (done) return done.value;
      await sleep(Math.random() * Math.min(250, 10 * attempt), undefined, { signal });
    }
    throw catalogUnavailable(new Error('a subscription was changed by others at every try'));
  });
}

async function stored(
  { catalog }: Pick<WatchContext, 'catalog'>,
  caller: Caller,
  name: string,
  signal: AbortSignal,
): Promise<StoredSubscription> {
  const found = await catalog.subscriptions.get(keyOf(caller, name), { signal });
  if (found === undefined) throw subscriptionNotFound(name);
  return found;
}

function deliveryAt(state: SubscriptionState, token: string): number {
  const at = findDelivery(state, token, Date.now());
  if (at === undefined) throw deliveryLost();
  return at;
}

async function inTurn<T>(key: string, work: () => Promise<T>): Promise<T> {
  const turn = turns.get(key) ?? { run: pLimit(1), users: 0 };
  turns.set(key, turn);
  turn.users += 1;
  try {
    return await turn.run(work);
  } finally {
    turn.users -= 1;
    if (turn.users === 0) turns.delete(key);
  }
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}
