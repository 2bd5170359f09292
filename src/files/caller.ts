/** What a caller may do with files that are not its own; what each allows is written in `policy/decide.ts`. */
export const ROLES = ['read', 'write', 'delete', 'admin', 'act-for-user'] as const;

/** One of {@link ROLES}. */
export type Role = (typeof ROLES)[number];

/** A service or a person, as whoever vouches for it names it. */
export interface Principal {
  /** Its name, unique and lasting, such as the subject of its tokens. */
  readonly id: string;
  readonly roles: ReadonlySet<Role>;
  /**
   * True for a program, which reaches only what its roles say: it owns nothing, and usages are opened to it by roles
   * alone. So an id that a program and a person have in common opens nothing to the program.
   */
  readonly isService: boolean;
  /** The program that its token was issued to, where the token says so; for the record, not for decisions. */
  readonly client?: string;
  /** When its credential ends; left out where it has no end. */
  readonly expiry?: Expiry;
}

/** The end of a credential. */
export interface Expiry {
  /** In milliseconds since 1970, with the leeway for the clock of the issuer. */
  readonly at: number;
  /** Where the credential stands in a call. */
  readonly place: 'authorization' | 'asset-user-token' | 'certificate';
}

/** Who makes a call: the service or user that presents itself, and the person it acts for. */
export interface Caller {
  readonly principal: Principal;
  /** The person that the principal acts for; undefined if it acts for itself. */
  readonly endUser: Principal | undefined;
  /** Name of the call in hand, as in the log; left out outside of a call. */
  readonly requestId?: string;
}

/** The names of a caller, to keep with what is its own. */
export interface CallerIds {
  readonly principal: string;
  /** Empty if the principal acts for itself. */
  readonly endUser: string;
}

/** The caller of every call while the service asks for no identity (`ASSET_AUTH=none`): it may do everything. */
export const ANONYMOUS: Caller = {
  principal: { id: 'anonymous', roles: new Set(['admin']), isService: true },
  endUser: undefined,
};

/** What to remember a caller by. */
export function callerIds({ principal, endUser }: Caller): CallerIds {
  return { principal: principal.id, endUser: endUser?.id ?? '' };
}

/** One text for a caller, to count by. No two callers have the same. */
export function callerKey({ principal, endUser }: CallerIds): string {
  return `${JSON.stringify(principal)} ${endUser}`;
}

/** A caller as the audit log names it. */
export function auditedCaller(caller: Caller) {
  return { ...callerIds(caller), requestId: caller.requestId ?? '' };
}
