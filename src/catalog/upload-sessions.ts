import type { CatalogCall, JsonValue, SweepCall } from './catalog-call.ts';

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

/** Whose an open session is, and what it may come to: what {@link UploadSessions.claimsOf} and `countOf` sum up. */
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

/**
 * Where the sessions of uploads are kept, so that any replica can go on with one. A part of
 * `FileCatalog`, with the same rules about failures, durability and replicas.
 *
 * A session is open until it becomes a file (`FileCatalog.create` with its revision, which removes it in
 * the same transaction) or is closed. A closed one can never become a file, which makes it safe to delete
 * what it stored; it stays until {@link forget}.
 */
export interface UploadSessions {
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
   * Closes the open sessions that expired before `now` and returns them and the closed ones whose sweep
   * time has come, at most `limit`, by that time and then by id: also those that were returned before and not forgotten.
   * Fewer than `limit` means that there are no more behind `call.after`.
   *
   * The `state` of a session is read when it is asked for, and throws if the catalog has none that can be read.
   */
  takeClosed(now: Date, limit: number, call?: SweepCall): Promise<readonly UploadSession[]>;

  /** Sessions as {@link takeClosed} would return them, at most `limit`, in no order. Changes nothing. */
  listPast(now: Date, limit: number, call?: CatalogCall): Promise<readonly UploadSession[]>;

  /** Removes a closed session, after what it stored is gone. Resolves too if there is none. */
  forget(id: string, call?: CatalogCall): Promise<void>;
}
