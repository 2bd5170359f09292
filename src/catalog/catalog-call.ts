/** Anything that JSON can say. */
export type JsonValue =
  null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** Options that every call to the catalog takes. */
export interface CatalogCall {
  /** Ends the call; it then rejects with `signal.reason`. A write may have happened all the same. */
  readonly signal?: AbortSignal;
}
