/** Who makes a call: the service or user that presents itself, and the person it acts for. */
export interface Caller {
  /** Name of the calling service or user; `anonymous` where the service asks for no identity. */
  readonly principal: string;
  /** The person that the principal acts for; empty if it acts for itself. */
  readonly endUser: string;
}

/** The caller of every call while the service asks for no identity (`ASSET_AUTH=none`). */
export const ANONYMOUS: Caller = { principal: 'anonymous', endUser: '' };
