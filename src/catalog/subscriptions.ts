import type { CatalogCall } from './catalog-call.ts';

/** A subscription as it is stored. */
export interface StoredSubscription {
  readonly key: string;
  /** Changes with every change; opaque, 1 to 64 characters. */
  readonly revision: string;
  /** At most 4 MiB of JSON. */
  readonly state: string;
}

/**
 * The subscriptions of all callers: a text each, changed by compare-and-set. Part of `FileCatalog`; its rules apply.
 * A key or an owner is 1 to 64 of `[a-z0-9]`.
 */
export interface Subscriptions {
  /** The subscription with a key, if any. */
  get(key: string, call?: CatalogCall): Promise<StoredSubscription | undefined>;

  /** The first `limit` subscriptions of an owner, by key. */
  list(owner: string, limit: number, call?: CatalogCall): Promise<readonly StoredSubscription[]>;

  /** Adds one; false, without a change, if the key is taken. Of several concurrent calls exactly one adds it. */
  create(key: string, owner: string, state: string, call?: CatalogCall): Promise<boolean>;

  /**
   * Changes one if it still has this revision; false, without a change, if it has not. Of several concurrent calls
   * with one revision at most one changes it.
   */
  update(key: string, revision: string, state: string, call?: CatalogCall): Promise<boolean>;

  /** Removes one if it still has this revision; false, without a change, if it has not. */
  remove(key: string, revision: string, call?: CatalogCall): Promise<boolean>;
}
