import pLimit from 'p-limit';
import type { Reservation } from '../file-catalog.ts';
import type { BatchRequest, PocketBaseClient, RawRecord } from './client.ts';
import { quoteTime } from './filter.ts';
import { CLOSED_RESERVATIONS, OPEN_RESERVATIONS } from './helpers.ts';
import { unlessRefused } from './refusals.ts';

/**
 * An open reservation is a record of one collection, a closed one of another. A file is created in one batch with
 * an update of the open record, which fails once that is gone: so nothing is created under a closed one.
 */

const CLOSING_AT_ONCE = 8;

/** A whole number of milliseconds that lies beyond every expiry. */
const FAR = 2 ** 52;

/** What an open record says of its expiry. `countdown` falls as the expiry moves on; see {@link closeIfExpired}. */
function expiry(expireTime: Date) {
  return { expire_time: expireTime.toISOString(), countdown: FAR - expireTime.getTime() };
}

/** Opens a reservation. */
export async function openReservation(
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
  return { id: raw!.id, fileIds: [...fileIds] };
}

/** A request that fails, and with it its batch, unless the reservation is open. */
export function requireOpen(id: string): BatchRequest {
  return { method: 'PATCH', collection: OPEN_RESERVATIONS, id, onlyId: true };
}

/** A request that adds a closed reservation. */
export function addClosed(fileIds: readonly string[], expireTime: string, id?: string): BatchRequest {
  const body = { file_ids: fileIds, expire_time: expireTime, ...(id !== undefined && { id }) };
  return { method: 'POST', collection: CLOSED_RESERVATIONS, body, onlyId: true };
}

/** Moves the expiry of an open reservation; false if it is not open. */
export function extendReservation(
  client: PocketBaseClient,
  id: string,
  expireTime: Date,
  signal: AbortSignal,
): Promise<boolean> {
  return unlessRefused(
    client.batch(
      [{ method: 'PATCH', collection: OPEN_RESERVATIONS, id, body: expiry(expireTime), onlyId: true }],
      signal,
    ),
  );
}

/** Closes an open reservation, and keeps a closed one if anything is left over. */
export async function closeReservation(
  client: PocketBaseClient,
  id: string,
  leftoverIds: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const requests = [{ method: 'DELETE', collection: OPEN_RESERVATIONS, id } as const];
  const leftover = addClosed(leftoverIds, new Date().toISOString(), id);
  await unlessRefused(client.batch(leftoverIds.length > 0 ? [...requests, leftover] : requests, signal));
}

/** Closes what expired before `now`, and returns closed reservations, oldest first. */
export async function takeClosedReservations(
  client: PocketBaseClient,
  now: Date,
  limit: number,
  signal: AbortSignal,
): Promise<readonly Reservation[]> {
  const expired = await listExpired(client, now, limit, signal);
  const few = pLimit(CLOSING_AT_ONCE);
  await Promise.all(expired.map((raw) => few(() => closeIfExpired(client, raw, now, signal))));
  return (await listClosed(client, limit, signal)).map(toReservation);
}

/** What {@link takeClosedReservations} would return. */
export async function listPastReservations(
  client: PocketBaseClient,
  now: Date,
  limit: number,
  signal: AbortSignal,
): Promise<readonly Reservation[]> {
  const closed = await listClosed(client, limit, signal);
  const expired = await listExpired(client, now, limit, signal);
  return [...closed, ...expired].slice(0, limit).map(toReservation);
}

function listExpired(client: PocketBaseClient, now: Date, limit: number, signal: AbortSignal) {
  const query = { filter: `expire_time<${quoteTime(now)}`, sort: 'expire_time', limit };
  return client.list(OPEN_RESERVATIONS, query, signal);
}

function listClosed(client: PocketBaseClient, limit: number, signal: AbortSignal) {
  return client.list(CLOSED_RESERVATIONS, { filter: 'id!=""', sort: 'expire_time,id', limit }, signal);
}

function toReservation(raw: RawRecord): Reservation {
  return { id: raw.id, fileIds: raw.file_ids as string[] };
}

/**
 * Closes a reservation unless it was prolonged since it was read. The first request of the batch takes from
 * `countdown` what it still is at `now`: with an expiry of `now` or later it would fall below 0, which the
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
  await unlessRefused(client.batch(requests, signal));
}

/** Removes a closed reservation. */
export async function forgetReservation(
  client: PocketBaseClient,
  id: string,
  signal: AbortSignal,
): Promise<void> {
  await unlessRefused(client.batch([{ method: 'DELETE', collection: CLOSED_RESERVATIONS, id }], signal));
}
