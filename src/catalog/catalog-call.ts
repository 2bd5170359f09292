/** A JSON value. */
export type JsonValue =
  null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** Options of every call. */
export interface CatalogCall {
  /** Ends the call, which rejects with `signal.reason`. A write may have happened. */
  readonly signal?: AbortSignal;
}

/** A position in a list that is ordered by time and then by id. */
export interface SweepCursor {
  /** Whole milliseconds. */
  readonly time: Date;
  readonly id: string;
}

/** Options of the calls that return what is due for the sweeper. */
export interface SweepCall extends CatalogCall {
  /**
   * Only entries after this position, so that a sweep gets past what it could not remove. Default: from the start.
   */
  readonly after?: SweepCursor;
  /** Called for each due hold that could not be closed. The others are closed and returned. */
  readonly onFailure?: (
    hold: { readonly kind: 'reservation' | 'upload'; readonly id: string },
    error: unknown,
  ) => void;
}

/** The first `limit` of several lists in the sweeper's order: by expiry, then by id. */
export function oldestOf<T extends { readonly id: string; readonly expireTime: Date }>(
  holds: readonly T[],
  limit: number,
): readonly T[] {
  const inOrder = (a: T, b: T) => a.expireTime.getTime() - b.expireTime.getTime() || (a.id < b.id ? -1 : 1);
  return holds.toSorted(inOrder).slice(0, limit);
}
