import type { CatalogCall, SweepCall } from './catalog-call.ts';
import type { Changes } from './changes.ts';
import type { FileChange, FileRecord, NewFileRecord } from './file-record.ts';
import type { LegacyRecords } from './legacy-records.ts';
import type { Subscriptions } from './subscriptions.ts';
import type { Transfer } from './transfer.ts';
import type { Uploads } from './uploads.ts';

export type { CatalogCall, JsonValue, SweepCall, SweepCursor } from './catalog-call.ts';
export type { Change, ChangePage, Changes, ChangeType } from './changes.ts';
export type { StoredSubscription, Subscriptions } from './subscriptions.ts';
export type { FileChange, FileDescription, FileRecord, NewFileRecord } from './file-record.ts';
export type { StateItem, StateKind, StatePage, Transfer, TransferredFile } from './transfer.ts';
export type {
  ClosedHold,
  Hold,
  HoldKind,
  Reservation,
  UploadChange,
  UploadClaim,
  Uploads,
  UploadSession,
  UsageClaim,
} from './uploads.ts';

/** Which files to list; a file must meet all conditions that are set. */
export interface FileFilter {
  readonly owner?: string;
  readonly usage?: string;
  readonly relation?: { readonly name: string; readonly id: string };
  /** `type/subtype` without parameters, or `type/*`. Parameters in the record are ignored. */
  readonly contentType?: string;
  /** Inclusive. */
  readonly createTimeFrom?: Date;
  /** Exclusive. */
  readonly createTimeTo?: Date;
}

/** Files that a caller may see: those that meet all conditions that are set. */
export interface VisibleFiles {
  readonly owner?: string;
  readonly relation?: { readonly name: string; readonly id: string };
  /** Only files of one of these usages. */
  readonly usages?: readonly string[];
  /** Only files of none of these usages. */
  readonly notUsages?: readonly string[];
}

/** Number and size of an owner's files. */
export interface FileTotals {
  readonly files: number;
  readonly bytes: number;
}

/** A position in list order: newest first, equal times by descending id. */
export interface ListCursor {
  readonly createTime: Date;
  readonly id: string;
}

/** A soft-deleted file that is due to be purged. */
export interface PurgeableFile extends Pick<FileRecord, 'id' | 'revision'> {
  readonly purgeTime: Date;
}

/** What must still be open when a record is created; checked in the same transaction. */
export type CreateFence =
  /** The reservation of the record's id. */
  | { readonly reservationId: string }
  /** The session with the record's id, at this revision. It is removed when the record is created. */
  | { readonly upload: { readonly revision: number } };

/** Something that the catalog's operator should know. */
export interface CatalogFinding {
  /**
   * - `mistake`: the service cannot work until it is corrected;
   * - `error`: the service works but cannot keep a promise;
   * - `warning`: may be intended.
   */
  readonly level: 'mistake' | 'error' | 'warning';
  /** Names the setting, collection, field or rule and says what to do. Only for operators: it may name anything. */
  readonly text: string;
}

/** Names of relations and usages in the usage policies, which a catalog with a schema can check. */
export interface PolicyNames {
  readonly relations: readonly string[];
  readonly usages: readonly string[];
}

/** The records of files. Part of {@link FileCatalog}; its rules apply. */
export interface FileRecords {
  /** The existing records of these `ids`, including soft-deleted ones, with one round trip per 200 ids or fewer. */
  get(ids: readonly string[], call?: CatalogCall): Promise<ReadonlyMap<string, FileRecord>>;

  /**
   * Creates a record with an id of an open reservation or session.
   *
   * Rejects with UPLOAD_EXPIRED if the reservation is closed or removed, or the session is or has another revision,
   * even if the request key is taken. Otherwise, if a record has the `requestKey`, writes nothing and resolves with
   * `request-taken`; {@link findByRequestKey} finds that record. Rejects with RELATION_UNKNOWN,
   * RELATION_TARGET_MISSING, ATTRIBUTE_INVALID or CATALOG_REFUSED if the catalog refuses the description.
   */
  create(
    record: NewFileRecord,
    options: CreateFence & { readonly requestKey?: string },
    call?: CatalogCall,
  ): Promise<
    { readonly status: 'created'; readonly record: FileRecord } | { readonly status: 'request-taken' }
  >;

  /** The record with this request key, also if it is soft-deleted. Keys are 1 to 64 of `[A-Za-z0-9_-]`. */
  findByRequestKey(requestKey: string, call?: CatalogCall): Promise<FileRecord | undefined>;

  /**
   * Changes a record if its revision is still `revision`; of several concurrent calls with one revision exactly one
   * resolves. Rejects with FILE_NOT_FOUND if there is no record, CONCURRENT_CHANGE if the revision differs, and
   * like {@link create} if the catalog refuses the description.
   */
  update(id: string, revision: string, change: FileChange, call?: CatalogCall): Promise<FileRecord>;

  /**
   * The next `limit` records after the cursor, newest first. `showDeleted` includes soft-deleted ones. `visibleTo`
   * limits the list to records that match at least one of its parts; without parts the list is empty. If the
   * filter's relation does not exist and the catalog can tell, rejects with RELATION_UNKNOWN; an unknown relation
   * in a part matches no file.
   */
  list(
    query: {
      readonly filter: FileFilter;
      readonly visibleTo?: readonly VisibleFiles[];
      readonly showDeleted: boolean;
      readonly after?: ListCursor;
      readonly limit: number;
    },
    call?: CatalogCall,
  ): Promise<readonly FileRecord[]>;

  /**
   * Number and bytes of an owner's files, in one usage or, if `usage` is undefined, in all. Soft-deleted files
   * count until they are purged. Files created or removed meanwhile may or may not count.
   */
  totalsOf(owner: string, usage: string | undefined, call?: CatalogCall): Promise<FileTotals>;

  /** Soft-deleted records whose purge time is at or before `now`, at most `limit`, by purge time and then by id. */
  listPurgeable(now: Date, limit: number, call?: SweepCall): Promise<readonly PurgeableFile[]>;

  /**
   * Removes a record permanently if its revision is still `revision`. The same transaction adds a closed
   * reservation with its id, so that its blob will be deleted in any case; the id of that reservation is the
   * file's. Resolves with false, without a change, if the record does not exist or has changed.
   */
  purge(id: string, revision: string, call?: CatalogCall): Promise<boolean>;
}

/** Leases for what only one replica may do at a time. Part of {@link FileCatalog}; its rules apply. */
export interface Leases {
  /**
   * Takes or renews a lease: resolves with true if `holder` has it until `expireTime`, with false if another holder
   * has it and it has not expired. Of several concurrent calls exactly one gets it.
   *
   * The clock of the catalog's server (for an embedded catalog: of the machine) decides whether a lease has
   * expired, but `expireTime` is by the caller's clock: a lease must be long compared with their difference. A name
   * is 1 to 64 of `[a-z0-9-]`, a holder 1 to 64 of `[A-Za-z0-9_-]`.
   */
  acquireLease(name: string, holder: string, expireTime: Date, call?: CatalogCall): Promise<boolean>;

  /** Releases a lease. Resolves also, without a change, if the holder no longer has it. */
  releaseLease(name: string, holder: string, call?: CatalogCall): Promise<void>;
}

/**
 * Stores records. These comments are the contract; `test/conformance/file-catalog.suite.ts` checks every driver on
 * a real server.
 *
 * - Every method rejects with AssetError CATALOG_UNAVAILABLE (with `retryAfterMs`) if the catalog cannot be reached
 *   or has an internal error, within 15 seconds if it is down. A write may then have happened or may still happen.
 * - After any other rejection nothing was written.
 * - When a method resolves, its result is durable.
 * - Several replicas use one catalog concurrently; every method is safe then.
 */
export interface FileCatalog extends FileRecords, Transfer, Leases {
  /** Name of the driver, for logs and health: `pocketbase`, `postgres` or `sqlite`. */
  readonly kind: string;

  /** Promises of file ids to uploads. */
  readonly uploads: Uploads;

  /** The change log. */
  readonly changes: Changes;

  /** The subscriptions of callers to changes. */
  readonly subscriptions: Subscriptions;

  /** The records of files that are older than the service. */
  readonly legacy: LegacyRecords;

  /**
   * Migrates the catalog's schema: adds what is missing, removes nothing. Safe to repeat and to run in several
   * replicas at once. Returns what it did, one line each. Rejects with CATALOG_REFUSED, without a change and with a
   * message for the operator, if catalog and settings do not fit together.
   */
  migrate(): Promise<readonly string[]>;

  /** What {@link migrate} would do, one line each. Changes nothing; rejects like it. */
  planMigration(): Promise<readonly string[]>;

  /** What an operator should know about the catalog's setup and about these names. Changes nothing. */
  inspect(names: PolicyNames, call?: CatalogCall): Promise<readonly CatalogFinding[]>;

  /** Resolves within 5 seconds if the catalog is available. */
  check(call?: CatalogCall): Promise<void>;

  /** Closes connections. Call no other method afterwards. */
  close(): Promise<void>;
}
