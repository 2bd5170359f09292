import type { CatalogCall, JsonValue, SweepCall } from './catalog-call.ts';

/**
 * File ids that the uploads of one process may use until it expires. While a reservation is open the sweeper keeps
 * its blobs. After it is closed none of its ids can become a file, so the blobs of ids without a file can be
 * deleted safely.
 */
export interface Reservation {
  readonly id: string;
  readonly fileIds: readonly string[];
  /** Whole milliseconds. */
  readonly expireTime: Date;
}

/**
 * One upload over several calls. Its id is that of the resulting file, so the file answers for the session when it
 * exists.
 */
export interface UploadSession {
  /** The file id. */
  readonly id: string;
  /** Incremented with every change; a change must name it. */
  readonly revision: number;
  /** State of the upload for the use cases: any JSON up to 1 MiB. */
  readonly state: JsonValue;
  /** Whole milliseconds. From then on the sweeper may close the session. */
  readonly expireTime: Date;
}

/** Whose an open session is and what it may use; {@link Uploads.claimsOf} and `countOf` sum these up. */
export interface UploadClaim {
  /** Who opened it: 1 to 64 visible ASCII characters. */
  readonly caller: string;
  /** Owner and usage of the resulting file; the owner may be empty. */
  readonly owner: string;
  readonly usage: string;
  /** Bytes that it has or may have. */
  readonly sizeBytes: number;
}

/** A change of an open session. */
export interface UploadChange {
  readonly state: JsonValue;
  readonly expireTime: Date;
  /** New bytes of its claim; unchanged if omitted. */
  readonly sizeBytes?: number;
}

/** Sum of the claims of one owner's open sessions in one usage. */
export interface UsageClaim {
  readonly usage: string;
  /** Number of sessions. */
  readonly files: number;
  readonly bytes: number;
}

/** What holds ids: a reservation or an upload session. */
export type HoldKind = 'reservation' | 'upload';

/** A reservation or session. */
export interface Hold {
  readonly kind: HoldKind;
  readonly id: string;
  /** The file ids; a session has its own only. Throws if the stored ids cannot be read. */
  readonly fileIds: readonly string[];
  /** Whole milliseconds. */
  readonly expireTime: Date;
}

/** A closed hold: none of its ids can become a file. */
export type ClosedHold =
  | (Hold & { readonly kind: 'reservation' })
  /** `state` is parsed on access and throws if it cannot be read. */
  | (Hold & UploadSession & { readonly kind: 'upload' });

/**
 * Promises file ids to uploads. Part of `FileCatalog`; its rules about failures, durability and replicas apply.
 *
 * There are two kinds of {@link Hold}. A reservation promises many ids to the uploads of one process. A session
 * promises the id of one upload over several calls and keeps its state. Only the id of an open hold can become a
 * file (`FileCatalog.create` checks that in its transaction, and removes the session). The sweeper closes expired
 * holds, removes what was stored, and forgets the hold.
 */
export interface Uploads {
  /** Opens a reservation for 1 to 1,000 ids. */
  reserve(fileIds: readonly string[], expireTime: Date, call?: CatalogCall): Promise<Reservation>;

  /** Extends an open reservation. Resolves with false if it is closed or does not exist. */
  extend(id: string, expireTime: Date, call?: CatalogCall): Promise<boolean>;

  /**
   * Closes a reservation; keeps only `leftoverIds` for the sweeper, due at once, or removes it if there are none.
   * Resolves also, without a change, if it is closed or does not exist.
   */
  release(id: string, leftoverIds: readonly string[], call?: CatalogCall): Promise<void>;

  /**
   * Opens a session with revision 1.
   *
   * If another open session has the `requestKey`, writes nothing and resolves with `request-taken` and that
   * session. Keys are those of `FileCatalog.findByRequestKey`.
   */
  open(
    session: {
      readonly id: string;
      readonly state: JsonValue;
      readonly expireTime: Date;
      readonly requestKey?: string;
      /** Omitted if the session counts for nobody. */
      readonly claim?: UploadClaim;
    },
    call?: CatalogCall,
  ): Promise<{ readonly status: 'opened' | 'request-taken'; readonly session: UploadSession }>;

  /** The open session with this id, if any. */
  get(id: string, call?: CatalogCall): Promise<UploadSession | undefined>;

  /** The open session with this request key, if any. */
  find(requestKey: string, call?: CatalogCall): Promise<UploadSession | undefined>;

  /** The claims of an owner's open sessions, one element per usage, in any order. */
  claimsOf(owner: string, call?: CatalogCall): Promise<readonly UsageClaim[]>;

  /** Number of a caller's open sessions, counted up to `limit` (1 to 1,000). */
  countOf(caller: string, limit: number, call?: CatalogCall): Promise<number>;

  /**
   * Replaces the state of an open session if its revision is still `revision`; of several concurrent calls with one
   * revision exactly one resolves. Resolves with undefined, without a change, if the revision differs or the
   * session is closed or does not exist.
   */
  update(
    id: string,
    revision: number,
    change: UploadChange,
    call?: CatalogCall,
  ): Promise<UploadSession | undefined>;

  /**
   * Closes an open session if its revision is still `revision`; {@link takeClosed} returns it from `sweepTime` on.
   * Otherwise resolves with false, without a change.
   */
  close(id: string, revision: number, sweepTime: Date, call?: CatalogCall): Promise<boolean>;

  /**
   * Closes the open holds that expired before `now`. Returns them and the closed ones that are due, at most
   * `limit`, by due time and then by id, including those that were returned before and not forgotten. Fewer than
   * `limit` mean that there are no more after `call.after`.
   */
  takeClosed(now: Date, limit: number, call?: SweepCall): Promise<readonly ClosedHold[]>;

  /** The holds that {@link takeClosed} would return, at most `limit`, in that order. Changes nothing. */
  listPast(now: Date, limit: number, call?: SweepCall): Promise<readonly Hold[]>;

  /** Keeps only these ids of a closed reservation, at least one, after the data of the others was removed. */
  keepLeftovers(id: string, leftoverIds: readonly string[], call?: CatalogCall): Promise<void>;

  /** Removes a closed hold after the data under its ids was removed. Resolves also if it does not exist. */
  forget(hold: Pick<Hold, 'kind' | 'id'>, call?: CatalogCall): Promise<void>;
}
