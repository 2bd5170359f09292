import type { CredentialPlace } from '../errors/callers.ts';

/** Roles for files of others; `policy/decide.ts` says what each permits. */
export const ROLES = ['read', 'write', 'delete', 'admin', 'act-for-user'] as const;

/** One of {@link ROLES}. */
export type Role = (typeof ROLES)[number];

/** A service or a person, as identified. */
export interface Principal {
  /** Its unique and permanent id, such as the subject of its tokens. */
  readonly id: string;
  readonly roles: ReadonlySet<Role>;
  /**
   * True for a service, which may do only what its roles say: it owns nothing, and usage policies give it access
   * through roles only. So a service with the same id as a person gets no access by it.
   */
  readonly isService: boolean;
  /** The client that its token was issued to, if known; for records, not for decisions. */
  readonly client?: string;
  /** When its credential expires; omitted if it does not. */
  readonly expiry?: Expiry;
}

/** Expiry of a credential. */
export interface Expiry {
  /** In milliseconds since 1970, including the permitted clock skew. */
  readonly at: number;
  /** Which credential of the call it is. */
  readonly place: CredentialPlace;
}

/** The caller of a call: the principal, and the end user it acts for. */
export interface Caller {
  readonly principal: Principal;
  /** The end user; undefined if the principal acts for itself. */
  readonly endUser: Principal | undefined;
  /** Id of the current call, as in the log; omitted outside of a call. */
  readonly requestId?: string;
}

/** Ids of a caller, to store with what it creates. */
export interface CallerIds {
  readonly principal: string;
  /** Empty if the principal acts for itself. */
  readonly endUser: string;
}

/** The caller of every call with `ASSET_AUTH=none`; it may do everything. */
export const ANONYMOUS: Caller = {
  principal: { id: 'anonymous', roles: new Set(['admin']), isService: true },
  endUser: undefined,
};

/** The ids to store for a caller. */
export function callerIds({ principal, endUser }: Caller): CallerIds {
  return { principal: principal.id, endUser: endUser?.id ?? '' };
}

/** A unique key for a caller, to count by. */
export function callerKey({ principal, endUser }: CallerIds): string {
  return `${JSON.stringify(principal)} ${endUser}`;
}

/** A caller as in the audit log. */
export function auditedCaller(caller: Caller) {
  return { ...callerIds(caller), requestId: caller.requestId ?? '' };
}
