/** Why a step of a move is refused. */
export type RefusalReason =
  /** Files are neither moved nor acknowledged. */
  | 'NOT_MOVED'
  /** There is no full verification without damage that started after the last move and is recent enough. */
  | 'NOT_VERIFIED'
  /** The old bucket has no object of any record: the bucket or the layouts are wrong. */
  | 'WRONG_BUCKET'
  /** Guests would still get files from the catalog. */
  | 'PUBLIC_VIEW_RULE'
  /** The catalog does not accept the user's token. */
  | 'BAD_USER_TOKEN'
  /** A setting has neither its value before the lock nor that of the lock. */
  | 'CHANGED_BY_OTHERS'
  | 'NOT_LOCKED'
  /** Another process runs this step. */
  | 'BUSY'
  /** The list of the bucket is incomplete. */
  | 'BAD_LISTING'
  /** A file has no proven copy. */
  | 'UNPROVEN'
  | 'ABOVE_MAX_PURGE'
  /** A view is still read, or the log of its readers is too short. */
  | 'STILL_READ'
  /** Another view reads the field or view, or another collection has the name of the view. */
  | 'IN_USE'
  | 'NO_VIEW'
  | 'TOO_MANY_LINKS'
  | 'NO_CATALOG_ACCESS'
  /** The PocketBase that is said to be gone answers. */
  | 'POCKETBASE_ANSWERS'
  | 'BAD_JOURNAL';

/** A reason with its message. */
export interface Refusal {
  readonly reason: RefusalReason;
  /** For the operator; names settings, fields and commands. */
  readonly text: string;
}

/** Thrown if a step is refused. The part that refuses changes nothing. */
export class StepRefused extends Error {
  readonly reason: RefusalReason;
  readonly refusals: readonly Refusal[];

  constructor(...refusals: readonly [Refusal, ...Refusal[]]) {
    super(refusals.map(({ reason, text }) => `${reason}: ${text}`).join('\n'));
    this.name = 'StepRefused';
    this.reason = refusals[0].reason;
    this.refusals = refusals;
  }
}
