import type { CatalogCall, SweepCall } from './catalog-call.ts';
import type { FileChange, FileRecord, NewFileRecord } from './file-record.ts';
import type { LegacyRecords } from './legacy-records.ts';
import type { Transfer } from './transfer.ts';
import type { Uploads } from './uploads.ts';

export type { CatalogCall, JsonValue, SweepCall, SweepCursor } from './catalog-call.ts';
export type { FileChange, FileDescription, FileRecord, NewFileRecord } from './file-record.ts';
export type { Transfer, TransferredFile } from './transfer.ts';
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

/** Which files to list; a file must meet every condition that is set. */
export interface FileFilter {
  readonly owner?: string;
  readonly usage?: string;
  readonly relation?: { readonly name: string; readonly id: string };
  /** `type/subtype` without parameters, or `type/*`. Parameters in the record are not compared. */
  readonly contentType?: string;
  /** Inclusive. */
  readonly createTimeFrom?: Date;
  /** Exclusive. */
  readonly createTimeTo?: Date;
}

/** Files that somebody may see: a file is among them if it meets all that is set. */
export interface VisibleFiles {
  readonly owner?: string;
  readonly relation?: { readonly name: string; readonly id: string };
  /** Only files of one of these usages. */
  readonly usages?: readonly string[];
  /** Only files of none of these usages. */
  readonly notUsages?: readonly string[];
}

/** What the files of an owner come to. */
export interface FileTotals {
  readonly files: number;
  readonly bytes: number;
}

/** The place in the order of a list: newest first, among equal times by descending id. */
export interface ListCursor {
  readonly createTime: Date;
  readonly id: string;
}

/** A softly deleted file that is due to be purged. */
export interface PurgeableFile extends Pick<FileRecord, 'id' | 'revision'> {
  readonly purgeTime: Date;
}

/** What must still be open for a record to be created; it is checked in the same transaction. */
export type CreateFence =
  /** The reservation that the record's id is from. */
  | { readonly reservationId: string }
  /** The session of the record's id, at this revision. It is removed when the record is created. */
  | { readonly upload: { readonly revision: number } };

/** Something about the catalog that its operator has to know. */
export interface CatalogFinding {
  /**
   * - `mistake`: the service cannot work before it is mended;
   * - `error`: the service works, and what it promises does not hold;
   * - `warning`: what may be meant so.
   */
  readonly level: 'mistake' | 'error' | 'warning';
  /** Says which setting, collection, field or rule, and what to do. For operators alone: it may name anything. */
  readonly text: string;
}

/** Names by which usage policies speak of a catalog. A catalog that has a schema can tell those that it does not have. */
export interface PolicyNames {
  readonly relations: readonly string[];
  readonly usages: readonly string[];
}

/** The records of files. A part of {@link FileCatalog}, with its rules. */
export interface FileRecords {
  /** The records of those `ids` that exist, deleted ones too, in one round trip per 200 ids or fewer. */
  get(ids: readonly string[], call?: CatalogCall): Promise<ReadonlyMap<string, FileRecord>>;

  /**
   * Creates a record under an id of an open reservation, or of an open session.
   *
   * Rejects with UPLOAD_EXPIRED if the reservation is closed or gone, or the session is or has another
   * revision, also where the request key is taken. Else, where `requestKey` is given and a record has it, nothing is
   * written and the call resolves with `request-taken`: {@link findByRequestKey} then finds that record.
   * Rejects with RELATION_UNKNOWN, RELATION_TARGET_MISSING, ATTRIBUTE_INVALID or CATALOG_REFUSED if the
   * catalog does not take the description.
   */
  create(
    record: NewFileRecord,
    options: CreateFence & { readonly requestKey?: string },
    call?: CatalogCall,
  ): Promise<
    { readonly status: 'created'; readonly record: FileRecord } | { readonly status: 'request-taken' }
  >;

  /** The record that was created with this key, deleted ones too. Keys are 1 to 64 of `[A-Za-z0-9_-]`. */
  findByRequestKey(requestKey: string, call?: CatalogCall): Promise<FileRecord | undefined>;

  /**
   * Changes a record if its revision is still `revision`; of several concurrent calls with one
   * revision exactly one resolves. Rejects with FILE_NOT_FOUND if there is no record, CONCURRENT_CHANGE if
   * the revision is another, and like {@link create} if the catalog does not take the description.
   */
  update(id: string, revision: string, change: FileChange, call?: CatalogCall): Promise<FileRecord>;

  /**
   * The next `limit` records after the cursor, newest first. `showDeleted` adds softly deleted ones. Where
   * `visibleTo` is given, only those among one of its parts: none if there is no part. Rejects with
   * RELATION_UNKNOWN if the catalog has no relation of the filter's name and can tell; no file has the
   * relation of such a part then.
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
   * Number and bytes of the files of an owner, of one usage or, where `usage` is undefined, of all. Softly deleted files
   * count until they are purged. Files that come or go meanwhile may count or not.
   */
  totalsOf(owner: string, usage: string | undefined, call?: CatalogCall): Promise<FileTotals>;

  /** Softly deleted records whose purge time is at or before `now`, at most `limit`, by purge time and then by id. */
  listPurgeable(now: Date, limit: number, call?: SweepCall): Promise<readonly PurgeableFile[]>;

  /**
   * Removes a record for good if its revision is still `revision` and, in the same transaction, leaves a
   * closed reservation with its id, so that its blob is deleted whatever happens. The id of that reservation is the
   * file's. Resolves with false, and changes nothing, if the record is gone or has changed.
   */
  purge(id: string, revision: string, call?: CatalogCall): Promise<boolean>;
}

/** What one replica does at a time. A part of {@link FileCatalog}, with its rules. */
export interface Leases {
  /**
   * Takes a lease, or prolongs it: resolves with true if `holder` has it until `expireTime`, with false if another
   * holder has it and it has not expired. Of several concurrent takers exactly one gets it.
   *
   * Whether a lease has expired is told by the one clock of the catalog's server (of the machine, for an embedded
   * catalog), while `expireTime` is by that of the caller: a lease must be long against the difference of the two.
   * A name is 1 to 64 of `[a-z0-9-]`, a holder 1 to 64 of `[A-Za-z0-9_-]`.
   */
  acquireLease(name: string, holder: string, expireTime: Date, call?: CatalogCall): Promise<boolean>;

  /** Gives a lease up. Resolves too if the holder has it no longer, and then changes nothing. */
  releaseLease(name: string, holder: string, call?: CatalogCall): Promise<void>;
}

/**
 * Where records live. The comments here are the contract; `test/conformance/file-catalog.suite.ts`
 * holds every driver to it on a real server.
 *
 * - Every method rejects with AssetError CATALOG_UNAVAILABLE (with `retryAfterMs`) if the catalog cannot
 *   be reached or answers with a fault of its own, within 15 seconds if it is down. After that a
 *   write may have happened or may yet happen.
 * - Any other rejection of a write means that nothing was written.
 * - What a method resolves with is durable.
 * - Several replicas use one catalog at the same time; every method is safe then.
 */
export interface FileCatalog extends FileRecords, Transfer, Leases {
  /** Name of the driver, for logs and health: `pocketbase`, `postgres` or `sqlite`. */
  readonly kind: string;

  /** How file ids are promised to uploads. */
  readonly uploads: Uploads;

  /** The records of files that are older than the service. */
  readonly legacy: LegacyRecords;

  /**
   * Brings the catalog's schema up to date, adding what is missing and removing nothing. Safe to
   * repeat and to run in several replicas at once. Returns what it did, a line each. Rejects with CATALOG_REFUSED, with a
   * message for the operator, if the catalog and the settings do not fit together; nothing is changed then.
   */
  migrate(): Promise<readonly string[]>;

  /** What {@link migrate} would do now, a line each. Changes nothing, and rejects like it. */
  planMigration(): Promise<readonly string[]>;

  /** What an operator has to know of the catalog as it is set up, and of these names. Changes nothing. */
  inspect(names: PolicyNames, call?: CatalogCall): Promise<readonly CatalogFinding[]>;

  /** Resolves if the catalog can be reached and used, within 5 seconds. */
  check(call?: CatalogCall): Promise<void>;

  /** Lets go of connections. No other method may be called after it. */
  close(): Promise<void>;
}
