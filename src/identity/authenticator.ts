import type { Principal } from '../files/caller.ts';

/** What came with a call to show who makes it, as it was sent: nothing of it is believed yet. */
export interface Credentials {
  /** Every value of the header `authorization`, in the order in which they came. */
  readonly authorization: readonly string[];
  /** Every value of the header `asset-user-token`. */
  readonly userToken: readonly string[];
  /** The certificate of the connection; undefined if the caller showed none. */
  readonly certificate: ClientCertificate | undefined;
}

/** A certificate that a caller showed when it connected. It has proved that it holds the key. */
export interface ClientCertificate {
  /** True if it was issued by who is trusted for it and is valid now. */
  readonly trusted: boolean;
  /** When it ends, in milliseconds since 1970. */
  readonly end: number;
  /** Its names: `CN:` with the common name of its subject, and `URI:` with each URI that it is also for. */
  readonly names: readonly string[];
}

/**
 * Finds out who makes a call. What that caller may do is decided elsewhere.
 *
 * An implementation holds to this:
 *
 * - It believes nothing that it has not verified, and what is there but cannot be verified fails the call: a broken credential is never
 *   taken for a missing one, and a second credential is never left unread.
 * - It answers from memory as a rule, in less than a millisecond, and in at most some seconds otherwise.
 * - It may be asked for many calls at once.
 * - Errors tell the caller what to do and nothing that helps to forge a credential. No credential is in an error or in the log.
 */
export interface Authenticator {
  /** What `www-authenticate` says to a caller that is not known; undefined if no header would help. */
  readonly challenge: string | undefined;

  /**
   * The service or user that these credentials are of.
   *
   * @throws AssetError CREDENTIALS_MISSING if nothing was shown
   * @throws AssetError CREDENTIALS_INVALID if something was shown that does not hold
   * @throws AssetError IDENTITY_UNAVAILABLE if it cannot be told now, since what is needed for it cannot be fetched
   */
  principalOf(credentials: Credentials): Promise<Principal>;

  /**
   * The person that a principal acts for; undefined if it acts for itself. What it throws is known to come from the principal.
   *
   * @param principal - as {@link principalOf} has it for the same credentials
   * @throws AssetError CREDENTIALS_INVALID if something was shown that does not hold
   * @throws AssetError END_USER_NOT_ALLOWED if the principal sent an end user's token and may not act for anybody
   * @throws AssetError IDENTITY_UNAVAILABLE if it cannot be told now, since what is needed for it cannot be fetched
   */
  endUserOf(principal: Principal, credentials: Credentials): Promise<Principal | undefined>;

  /** Resolves if callers can be known; rejects with IDENTITY_UNAVAILABLE if none can. */
  check(): Promise<void>;

  /** Ends what goes on in the background. */
  close(): void;
}
