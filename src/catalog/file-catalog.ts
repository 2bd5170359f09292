import type { CatalogCall, JsonValue, SweepCall } from './catalog-call.ts';
import type { LegacyRecords } from './legacy-records.ts';
import type { UploadSessions } from './upload-sessions.ts';

export type { CatalogCall, JsonValue, SweepCall, SweepCursor } from './catalog-call.ts';

/** What a caller may say of a file. */
export interface FileDescription {
  readonly name: string;
  /** Media type, never empty. */
  readonly contentType: string;
  /** Empty if the file has no owner. */
  readonly owner: string;
  /** Empty if the file has no usage. */
  readonly usage: string;
  /** Target ids by the relation's name. A relation without targets is left out. */
  readonly relations: Readonly<Record<string, readonly string[]>>;
  /** Further fields by name. A field whose value is null is left out. */
  readonly attributes: Readonly<Record<string, JsonValue>>;
}

/** The record of one file. It says nothing of where the bytes lie. */
export interface FileRecord extends FileDescription {
  readonly id: string;
  readonly sizeBytes: number;
  /** 32 bytes; undefined for a file older than the service whose bytes were never read. */
  readonly sha256: Uint8Array | undefined;
  /** Unsigned 32-bit number; undefined like `sha256`. */
  readonly crc32c: number | undefined;
  /** The principal that uploaded the file; empty if unknown. */
  readonly createdBy: string;
  /** The end user for whom it did; empty if for itself. No caller sees it: it tells whose upload the file was. */
  readonly createdFor: string;
  /** Whole milliseconds. */
  readonly createTime: Date;
  readonly updateTime: Date;
  /** Set while the file is softly deleted. */
  readonly deleteTime: Date | undefined;
  /** When a softly deleted file is to be purged. */
  readonly purgeTime: Date | undefined;
  /**
   * Changes with every change of the record, also one made past this service where the catalog can
   * tell. 1 to 100 characters of `[A-Za-z0-9_-]`; opaque. It is the file's etag.
   */
  readonly revision: string;
}

/** A record that is not stored yet; `createTime` and `updateTime` are given by the catalog. */
export type NewFileRecord = Omit<
  FileRecord,
  'createTime' | 'updateTime' | 'deleteTime' | 'purgeTime' | 'revision'
>;

/**
 * What to change in a record. Absent keys stay as they are. In `relations` and `attributes` only the
 * names given are touched; an empty list or a null clears one.
 */
export interface FileChange extends Partial<FileDescription> {
  readonly deleteTime?: Date | null;
  readonly purgeTime?: Date | null;
}

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

/** What an owner has. */
export interface OwnerUsage {
  readonly files: number;
  readonly bytes: number;
}

/** The place in the order of a list: newest first, among equal times by descending id. */
export interface ListCursor {
  readonly createTime: Date;
  readonly id: string;
}

/**
 * File ids that uploads may use until it expires. While a reservation is open its blobs are safe from
 * the sweeper; once it is closed none of its ids can become a file any more, which makes it safe to
 * delete the blobs of those that did not.
 */
export interface Reservation {
  readonly id: string;
  readonly fileIds: readonly string[];
  /** Whole milliseconds. */
  readonly expireTime: Date;
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
export interface FileCatalog {
  /** Name of the driver, for logs and health: `pocketbase`, `postgres` or `sqlite`. */
  readonly kind: string;

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

  /** The records of those `ids` that exist, deleted ones too, in one round trip per 200 ids or fewer. */
  get(ids: readonly string[], call?: CatalogCall): Promise<ReadonlyMap<string, FileRecord>>;

  /** The sessions of uploads that go on over several calls. */
  readonly uploads: UploadSessions;

  /** The records of files that are older than the service. */
  readonly legacy: LegacyRecords;

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
  usageOf(owner: string, usage: string | undefined, call?: CatalogCall): Promise<OwnerUsage>;

  /** Opens a reservation for these ids, 1 to 1,000 of them. */
  reserve(fileIds: readonly string[], expireTime: Date, call?: CatalogCall): Promise<Reservation>;

  /** Moves the expiry of an open reservation. Resolves with false if it is closed or gone. */
  extendReservation(id: string, expireTime: Date, call?: CatalogCall): Promise<boolean>;

  /**
   * Closes a reservation, keeping only `leftoverIds` of it for the sweeper; with none the reservation is
   * gone. Resolves too if it is closed or gone already, and then changes nothing.
   */
  closeReservation(id: string, leftoverIds: readonly string[], call?: CatalogCall): Promise<void>;

  /**
   * Closes the open reservations that expired before `now` and returns closed ones, with their
   * ids, at most `limit`, by expiry and then by id: also those that an earlier caller closed and did not finish.
   * Fewer than `limit` means that there are no more behind `call.after`.
   */
  takeClosedReservations(now: Date, limit: number, call?: SweepCall): Promise<readonly Reservation[]>;

  /** Reservations as {@link takeClosedReservations} would return them, at most `limit`, in that order. Changes nothing. */
  listPastReservations(now: Date, limit: number, call?: SweepCall): Promise<readonly Reservation[]>;

  /** Keeps only these ids of a closed reservation, at least one, after what the others left is gone. */
  keepLeftovers(id: string, leftoverIds: readonly string[], call?: CatalogCall): Promise<void>;

  /** Removes a closed reservation, after its leftovers are gone. */
  forgetReservation(id: string, call?: CatalogCall): Promise<void>;

  /** Softly deleted records whose purge time is at or before `now`, at most `limit`, by purge time and then by id. */
  listPurgeable(now: Date, limit: number, call?: SweepCall): Promise<readonly PurgeableFile[]>;

  /**
   * Removes a record for good if its revision is still `revision` and, in the same transaction, leaves a
   * closed reservation with its id, so that its blob is deleted whatever happens. The id of that reservation is the
   * file's. Resolves with false, and changes nothing, if the record is gone or has changed.
   */
  purge(id: string, revision: string, call?: CatalogCall): Promise<boolean>;

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

  /** Resolves if the catalog can be reached and used, within 5 seconds. */
  check(call?: CatalogCall): Promise<void>;

  /** Lets go of connections. No other method may be called after it. */
  close(): Promise<void>;
}
