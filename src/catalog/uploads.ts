import type { CatalogCall, JsonValue, SweepCall } from './catalog-call.ts';

/**
 * File ids that uploads of one call may use until it expires. While a reservation is open its blobs are safe from
 * the sweeper; once it is closed none of its ids can become a file any more, which makes it safe to
 * delete the blobs of those that did not.
 */
export interface Reservation {
  readonly id: string;
  readonly fileIds: readonly string[];
  /** Whole milliseconds. */
  readonly expireTime: Date;
}

/**
 * One upload that goes on over several calls. Its id is that of the file it may become, so the file
 * answers for the session once there is one.
 */
export interface UploadSession {
  /** The file id. */
  readonly id: string;
  /** Goes up by one with every change; what a change has to name. */
  readonly revision: number;
  /** What the use cases remember of the upload: any JSON up to 1 MiB. */
  readonly state: JsonValue;
  /** Whole milliseconds. From then on the sweeper may close the session. */
  readonly expireTime: Date;
}

/** Whose an open session is, and what it may come to: what {@link Uploads.claimsOf} and `countOf` sum up. */
export interface UploadClaim {
  /** Whoever opened it, as 1 to 64 visible ASCII characters. */
  readonly caller: string;
  /** Owner and usage of the file that it may become; the owner may be empty. */
  readonly owner: string;
  readonly usage: string;
  /** Bytes that it has, or may come to. */
  readonly sizeBytes: number;
}

/** What changes in an open session. */
export interface UploadChange {
  readonly state: JsonValue;
  readonly expireTime: Date;
  /** The bytes of its claim; left out where they stay. */
  readonly sizeBytes?: number;
}

/** What the open sessions of one owner and one usage claim together. */
export interface UsageClaim {
  readonly usage: string;
  /** Number of sessions. */
  readonly files: number;
  readonly bytes: number;
}

/** Which of the two holds ids: a reservation, or the session of an upload. */
export type HoldKind = 'reservation' | 'upload';

/** What holds file ids: a reservation or a session. */
export interface Hold {
  readonly kind: HoldKind;
  readonly id: string;
  /** The file ids; that of a session is its own. Throws if the catalog has none that can be read. */
  readonly fileIds: readonly string[];
  /** Whole milliseconds. */
  readonly expireTime: Date;
}

/** A hold that is closed: none of its ids can become a file any more. */
export type ClosedHold =
  | (Hold & { readonly kind: 'reservation' })
  /** The `state` is read when it is asked for, and throws if the catalog has none that can be read. */
  | (Hold & UploadSession & { readonly kind: 'upload' });

/**
 * How file ids are promised to uploads. A part of `FileCatalog`, with the same rules about failures, durability and
 * replicas.
 *
 * There are two kinds of {@link Hold}. A reservation promises many ids to the uploads of one process. A session promises the
 * id of one upload that goes on over several calls, and keeps its state. Both are open until they are closed; only the id
 * of an open one can become a file (`FileCatalog.create` checks it in its transaction, and removes a session then). The
 * sweeper closes what has expired, removes what was stored, and forgets the hold.
 */
export interface Uploads {
  /** Opens a reservation for these ids, 1 to 1,000 of them. */
  reserve(fileIds: readonly string[], expireTime: Date, call?: CatalogCall): Promise<Reservation>;

  /** Moves the expiry of an open reservation. Resolves with false if it is closed or gone. */
  extend(id: string, expireTime: Date, call?: CatalogCall): Promise<boolean>;

  /**
   * Closes a reservation, keeping only `leftoverIds` of it for the sweeper, due at once; with none the reservation is
   * gone. Resolves too if it is closed or gone already, and then changes nothing.
   */
  release(id: string, leftoverIds: readonly string[], call?: CatalogCall): Promise<void>;

  /**
   * Opens a session with revision 1.
   *
   * Where `requestKey` is given and another open session has it, nothing is written and the call
   * resolves with `request-taken` and that session. Keys are those of `FileCatalog.findByRequestKey`.
   */
  open(
    session: {
      readonly id: string;
      readonly state: JsonValue;
      readonly expireTime: Date;
      readonly requestKey?: string;
      /** Left out where the session counts for nobody. */
      readonly claim?: UploadClaim;
    },
    call?: CatalogCall,
  ): Promise<{ readonly status: 'opened' | 'request-taken'; readonly session: UploadSession }>;

  /** The open session of this id; undefined if there is none. */
  get(id: string, call?: CatalogCall): Promise<UploadSession | undefined>;

  /** The open session with this request key; undefined if there is none. */
  find(requestKey: string, call?: CatalogCall): Promise<UploadSession | undefined>;

  /** What the open sessions of an owner claim, one element a usage, in no order. */
  claimsOf(owner: string, call?: CatalogCall): Promise<readonly UsageClaim[]>;

  /** Number of open sessions of a caller; not counted past `limit`, which is 1 to 1,000. */
  countOf(caller: string, limit: number, call?: CatalogCall): Promise<number>;

  /**
   * Replaces the state of an open session if its revision is still `revision`; of several concurrent
   * calls with one revision exactly one resolves. Resolves with undefined, and changes nothing, if the
   * revision is another or the session is closed or gone.
   */
  update(
    id: string,
    revision: number,
    change: UploadChange,
    call?: CatalogCall,
  ): Promise<UploadSession | undefined>;

  /**
   * Closes an open session if its revision is still `revision`; {@link takeClosed} returns it from
   * `sweepTime` on. Resolves with false, and changes nothing, if not.
   */
  close(id: string, revision: number, sweepTime: Date, call?: CatalogCall): Promise<boolean>;

  /**
   * Closes the open holds that expired before `now` and returns them and the closed ones whose time has come,
   * at most `limit`, by that time and then by id: also those that were returned before and not forgotten.
   * Fewer than `limit` means that there are no more behind `call.after`.
   */
  takeClosed(now: Date, limit: number, call?: SweepCall): Promise<readonly ClosedHold[]>;

  /** Holds as {@link takeClosed} would return them, at most `limit`, in that order. Changes nothing. */
  listPast(now: Date, limit: number, call?: SweepCall): Promise<readonly Hold[]>;

  /** Keeps only these ids of a closed reservation, at least one, after what the others left is gone. */
  keepLeftovers(id: string, leftoverIds: readonly string[], call?: CatalogCall): Promise<void>;

  /** Removes a closed hold, after what was stored under its ids is gone. Resolves too if there is none. */
  forget(hold: Pick<Hold, 'kind' | 'id'>, call?: CatalogCall): Promise<void>;
}
