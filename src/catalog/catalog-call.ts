/** Anything that JSON can say. */
export type JsonValue =
  null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** Options that every call to the catalog takes. */
export interface CatalogCall {
  /** Ends the call; it then rejects with `signal.reason`. A write may have happened all the same. */
  readonly signal?: AbortSignal;
}

/** A place in a list that is ordered by a time and then by id. */
export interface SweepCursor {
  /** Whole milliseconds. */
  readonly time: Date;
  readonly id: string;
}

/** Options of the calls by which the sweeper reads what is due. */
export interface SweepCall extends CatalogCall {
  /** Only what stands behind this place: so a sweep gets past what it could not remove. From the start where left out. */
  readonly after?: SweepCursor;
  /** Is told of each hold that is due and could not be closed. The others are closed and returned all the same. */
  readonly onFailure?: (
    hold: { readonly kind: 'reservation' | 'upload'; readonly id: string },
    error: unknown,
  ) => void;
}
