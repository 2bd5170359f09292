/** Why a step of a move is refused. */
export type RefusalReason =
  /** Files are not moved, and nobody acknowledged that. */
  | 'NOT_MOVED'
  /** No full verification without damage began after the last file was moved, within the bound. */
  | 'NOT_VERIFIED'
  /** No object of any record is in the old bucket: another bucket, or other layouts. */
  | 'WRONG_BUCKET'
  /** Guests would still get files from the catalog. */
  | 'PUBLIC_VIEW_RULE'
  /** A user's token that the catalog does not accept. */
  | 'BAD_USER_TOKEN'
  /** Something is neither as it was before the lock-down nor as the lock-down left it. */
  | 'CHANGED_BY_OTHERS'
  | 'NOT_LOCKED'
  /** Another process runs this step. */
  | 'BUSY'
  /** The list of the bucket does not show what is in it. */
  | 'BAD_LISTING'
  /** A file has no proven copy. */
  | 'UNPROVEN'
  | 'ABOVE_MAX_PURGE'
  /** A view is still read, or its readers are not known for long enough. */
  | 'STILL_READ'
  /** Something else uses a field or view. */
  | 'IN_USE'
  | 'NO_VIEW'
  | 'TOO_MANY_LINKS'
  | 'NO_CATALOG_ACCESS'
  | 'BAD_JOURNAL';

/** One reason, and what to do. */
export interface Refusal {
  readonly reason: RefusalReason;
  /** For the operator; names settings, fields and commands. */
  readonly text: string;
}

/** A step that was refused; nothing was changed by the part that refused. */
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
