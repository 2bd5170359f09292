import pLimit from 'p-limit';
import type { HoldKind, Reservation, SweepCall, SweepCursor } from '../file-catalog.ts';
import type { BatchRequest, PocketBaseClient, RawRecord } from './client.ts';
import { leftOut } from './failures.ts';
import { behind, quoteTime } from './filter.ts';
import { CLOSED_RESERVATIONS, OPEN_RESERVATIONS } from './own-collections.ts';
import { unlessGone } from './refusals.ts';

/**
 * An open reservation is a record in one collection, a closed one in another. A file is created in one batch with
 * an update of the open record. If that is gone, the batch fails, so no file is created under a closed reservation.
 */

const CLOSING_AT_ONCE = 8;

/** An integer of milliseconds later than every expiry. */
const FAR = 2 ** 52;

/**
 * The expiry fields of an open record. `countdown` decreases as the expiry moves on; see {@link closeIfExpired}.
 */
export function expiry(expireTime: Date) {
  return { expire_time: expireTime.toISOString(), countdown: FAR - expireTime.getTime() };
}

/** Opens a reservation. */
export async function open(
  client: PocketBaseClient,
  fileIds: readonly string[],
  expireTime: Date,
  signal: AbortSignal,
): Promise<Reservation> {
  const body = { file_ids: fileIds, ...expiry(expireTime) };
  const [raw] = await client.batch(
    [{ method: 'POST', collection: OPEN_RESERVATIONS, body, onlyId: true }],
    signal,
  );
  if (!raw) throw leftOut(0);
  return { id: raw.id, fileIds: [...fileIds], expireTime };
}

/** A request that fails, and with it its batch, unless the reservation is open. */
export function requireOpen(id: string): BatchRequest {
  return { method: 'PATCH', collection: OPEN_RESERVATIONS, id, onlyId: true };
}

/** Requests that remove a file and add a closed reservation with its id. */
export function replaceFile(collection: string, id: string): readonly BatchRequest[] {
  return [{ method: 'DELETE', collection, id }, addClosed([id], new Date().toISOString(), id)];
}

/** A request that adds a closed reservation. */
function addClosed(fileIds: readonly string[], expireTime: string, id: string): BatchRequest {
  const body = { file_ids: fileIds, expire_time: expireTime, id };
  return { method: 'POST', collection: CLOSED_RESERVATIONS, body, onlyId: true };
}

/** Extends an open reservation; false if it is not open. */
export function extend(
  client: PocketBaseClient,
  id: string,
  expireTime: Date,
  signal: AbortSignal,
): Promise<boolean> {
  return unlessGone(
    client.batch(
      [{ method: 'PATCH', collection: OPEN_RESERVATIONS, id, body: expiry(expireTime), onlyId: true }],
      signal,
    ),
  );
}

/** Closes an open reservation; keeps a closed one if it has leftovers. */
export async function close(
  client: PocketBaseClient,
  id: string,
  leftoverIds: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const requests = [{ method: 'DELETE', collection: OPEN_RESERVATIONS, id } as const];
  const leftover = addClosed(leftoverIds, new Date().toISOString(), id);
  await unlessGone(client.batch(leftoverIds.length > 0 ? [...requests, leftover] : requests, signal));
}

/**
 * Closes what expired before `now`; returns closed reservations after `call.after`, oldest first. One that cannot
 * be closed is reported to `call.onFailure`, and another takes its place.
 */
export async function takeClosed(
  client: PocketBaseClient,
  now: Date,
  limit: number,
  call: SweepCall | undefined,
  signal: AbortSignal,
) {
  await closeEach(
    'reservation',
    limit,
    call,
    (after) => listExpired(client, now, limit, after, signal),
    (raw) => closeIfExpired(client, raw, now, signal),
  );
  return (await listClosed(client, now, limit, call?.after, signal)).map(toHold);
}

/** What {@link takeClosed} would return. */
export async function listPast(
  client: PocketBaseClient,
  now: Date,
  limit: number,
  after: SweepCursor | undefined,
  signal: AbortSignal,
) {
  const closed = await listClosed(client, now, limit, after, signal);
  const expired = await listExpired(client, now, limit, after, signal);
  return [...closed, ...expired].map(toHold);
}

/**
 * Closes the first `limit` closable records of a list.
 *
 * @param list - the next `limit` records after a position, by `expire_time` and `id`
 */
export async function closeEach(
  kind: HoldKind,
  limit: number,
  call: SweepCall | undefined,
  list: (after: SweepCursor | undefined) => Promise<readonly RawRecord[]>,
  close: (raw: RawRecord) => Promise<unknown>,
): Promise<void> {
  const few = pLimit(CLOSING_AT_ONCE);
  let { after } = call ?? {};
  for (let closed = 0; closed < limit;) {
    const expired = await list(after);
    const ends = await Promise.allSettled(expired.map((raw) => few(() => close(raw))));
    for (const [i, end] of ends.entries()) {
      if (end.status === 'fulfilled') closed++;
      else call?.onFailure?.({ kind, id: expired[i]!.id }, end.reason);
    }
    const last = expired.at(-1);
    if (!last || expired.length < limit) return;
    after = { time: timeOf(last.expire_time), id: last.id };
  }
}

/** Parses a time in PocketBase's format. */
export function timeOf(text: unknown): Date {
  return new Date((text as string).replace(' ', 'T'));
}

function listExpired(
  client: PocketBaseClient,
  now: Date,
  limit: number,
  after: SweepCursor | undefined,
  signal: AbortSignal,
) {
  const filter = `expire_time<${quoteTime(now)}${behind('expire_time', after)}`;
  return client.list(OPEN_RESERVATIONS, { filter, sort: 'expire_time,id', limit }, signal);
}

function listClosed(
  client: PocketBaseClient,
  now: Date,
  limit: number,
  after: SweepCursor | undefined,
  signal: AbortSignal,
) {
  const filter = `expire_time<=${quoteTime(now)}${behind('expire_time', after)}`;
  return client.list(CLOSED_RESERVATIONS, { filter, sort: 'expire_time,id', limit }, signal);
}

function toHold(raw: RawRecord) {
  const fileIds = raw.file_ids as string[];
  return { kind: 'reservation' as const, id: raw.id, fileIds, expireTime: timeOf(raw.expire_time) };
}

/**
 * Closes a reservation unless it was extended since it was read. The first request of the batch subtracts from
 * `countdown` its value for an expiry of `now`: if the expiry is `now` or later, the result is negative, which the
 * field refuses.
 */
async function closeIfExpired(
  client: PocketBaseClient,
  raw: RawRecord,
  now: Date,
  signal: AbortSignal,
): Promise<void> {
  const target = { collection: OPEN_RESERVATIONS, id: raw.id };
  const requests: BatchRequest[] = [
    { method: 'PATCH', ...target, body: { 'countdown-': FAR - now.getTime() + 1 }, onlyId: true },
    { method: 'DELETE', ...target },
    addClosed(raw.file_ids as string[], raw.expire_time as string, raw.id),
  ];
  await unlessGone(client.batch(requests, signal), ({ fields }) => fields.has('countdown'));
}

/** Keeps only some ids of a closed reservation. */
export async function keepLeftovers(
  client: PocketBaseClient,
  id: string,
  leftoverIds: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const body = { file_ids: leftoverIds };
  const keep: BatchRequest = { method: 'PATCH', collection: CLOSED_RESERVATIONS, id, body, onlyId: true };
  await unlessGone(client.batch([keep], signal));
}

/** Removes a closed reservation. */
export async function forget(client: PocketBaseClient, id: string, signal: AbortSignal): Promise<void> {
  await unlessGone(client.batch([{ method: 'DELETE', collection: CLOSED_RESERVATIONS, id }], signal));
}
