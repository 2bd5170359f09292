import type { CatalogCall } from './catalog-call.ts';
import type { FileRecord } from './file-record.ts';

/** What a change did. */
export type ChangeType = 'created' | 'updated' | 'deleted' | 'undeleted' | 'purged';

/** One committed change of a record. */
export interface Change {
  /** Unique and stable; 1 to 64 of `[A-Za-z0-9_-]`. */
  readonly id: string;
  /** The position after this change: see {@link Changes.read}. */
  readonly cursor: string;
  /** `deleted` and `undeleted` are the soft deletion and its end, whatever else the change did; `purged` removes the record. */
  readonly type: ChangeType;
  readonly fileId: string;
  /** Revision of `record`. A purge gives no new one. */
  readonly revision: string;
  /** When the change was written, by the catalog's clock. Not exactly in the order of the log. */
  readonly time: Date;
  /** The record as this change left it; of a purge the last one. */
  readonly record: FileRecord;
}

/** Changes in the order of their commits. */
export interface ChangePage {
  readonly changes: readonly Change[];
  /** Where to continue. The page is empty and this is the given cursor if there are no more changes now. */
  readonly cursor: string;
}

/**
 * The change log: every create, update, soft deletion, undeletion and purge of a record, in the order of commits.
 * Part of `FileCatalog`; its rules about failures, durability and replicas apply.
 *
 * A change is written in the transaction of what it describes, so there is none of a write that was rolled back.
 * Each change that gives a record a new revision is one, even if no value differs. Not in the log: imported records
 * (`importFile` writes what another log has), changes that other programs make in the database, and what happened
 * before the log was added to the catalog. Changes of one file come in the order of its revisions.
 *
 * A cursor is a position between two changes. It is opaque, 1 to 200 of `[A-Za-z0-9._-]`, stays valid across
 * restarts, and means the same in every replica.
 */
export interface Changes {
  /**
   * The position after the last readable change (`now`), or before the oldest kept one (`earliest`). What is
   * committed after a call for `now` begins comes after its position; so may some changes from just before.
   */
  position(at: 'now' | 'earliest', call?: CatalogCall): Promise<string>;

  /**
   * The first changes after a position, at most `limit` (1 to 1,000). No change is ever added before a position
   * that was returned. A page may be shorter than `limit` although more follow.
   *
   * Rejects with CURSOR_EXPIRED if the catalog cannot tell what follows: the changes were trimmed, the catalog was
   * restored to an earlier state, or the cursor is of another catalog. Rejects with FIELD_INVALID (field `cursor`)
   * for a text that is no cursor.
   */
  read(cursor: string, limit: number, call?: CatalogCall): Promise<ChangePage>;

  /**
   * Removes the oldest changes up to the first from `before` or later, at most `limit`. The last of the old ones
   * stays as the position from which `earliest` reads, so the log is never empty. Returns how many it removed; fewer
   * than `limit` mean that the rest is younger.
   */
  trim(before: Date, limit: number, call?: CatalogCall): Promise<number>;

  /**
   * Age in milliseconds of the oldest committed change that cannot be read yet; 0 if all can. In PostgreSQL any
   * transaction that has written and is still open holds back the changes that were committed after it began.
   */
  lag(call?: CatalogCall): Promise<number>;
}
