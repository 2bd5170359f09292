import type { Reservation } from './file-catalog.ts';

/** The first `limit` of several lists in the order of the sweeper: by expiry, then by id. */
export function oldestOf(reservations: readonly Reservation[], limit: number): readonly Reservation[] {
  const inOrder = (a: Reservation, b: Reservation) =>
    a.expireTime.getTime() - b.expireTime.getTime() || (a.id < b.id ? -1 : 1);
  return reservations.toSorted(inOrder).slice(0, limit);
}
