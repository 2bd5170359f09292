import { type Principal, ANONYMOUS } from './caller.ts';

/** The credentials of a call, as received and not yet verified. */
export interface Credentials {
  /** All values of the header `authorization`, in order. */
  readonly authorization: readonly string[];
  /** All values of the header `asset-user-token`. */
  readonly userToken: readonly string[];
  /** The client certificate of the connection, if there is one. */
  readonly certificate: ClientCertificate | undefined;
}

/** A client certificate. The TLS handshake has proved that the caller has its key. */
export interface ClientCertificate {
  /** True if a trusted authority issued it and it is valid now. */
  readonly trusted: boolean;
  /** End of its validity, in milliseconds since 1970. */
  readonly end: number;
  /** Its names: `CN:` with the subject's common name, and `URI:` with each URI of the subject alternative names. */
  readonly names: readonly string[];
}

/**
 * Identifies the caller of a call. Permissions are decided elsewhere.
 *
 * Rules for implementations:
 *
 * - Trust nothing unverified. Credentials that cannot be verified fail the call: a broken credential never counts
 *   as a missing one, and a second credential is never ignored.
 * - Usually answer from memory in less than a millisecond; otherwise within a few seconds.
 * - Support concurrent calls.
 * - Errors tell the caller what to do, and nothing that helps to forge a credential. Never put a credential into an
 *   error or the log.
 */
export interface Authenticator {
  /** Value of `www-authenticate` for an unidentified caller; undefined if no header would help. */
  readonly challenge: string | undefined;

  /**
   * The service or user with these credentials.
   *
   * @throws AssetError CREDENTIALS_MISSING if there are none
   * @throws AssetError CREDENTIALS_INVALID if they are not valid
   * @throws AssetError IDENTITY_UNAVAILABLE if they cannot be verified now, for example because keys cannot be
   * fetched
   */
  principalOf(credentials: Credentials): Promise<Principal>;

  /**
   * The end user that a principal acts for; undefined if it acts for itself. Its errors count for the principal.
   *
   * @param principal - the result of {@link principalOf} for the same credentials
   * @throws AssetError CREDENTIALS_INVALID if the user's token is not valid
   * @throws AssetError END_USER_NOT_ALLOWED if the principal sent a user's token but may not act for users
   * @throws AssetError IDENTITY_UNAVAILABLE if the token cannot be verified now, for example because keys cannot be
   * fetched
   */
  endUserOf(principal: Principal, credentials: Credentials): Promise<Principal | undefined>;

  /** Resolves if callers can be identified; otherwise rejects with IDENTITY_UNAVAILABLE. */
  check(): Promise<void>;

  /** Stops background work. */
  close(): void;
}

/** Does not identify callers; for a service that only its own machine can reach. */
export const NO_IDENTITY: Authenticator = {
  challenge: undefined,
  principalOf: async () => ANONYMOUS.principal,
  endUserOf: async () => undefined,
  check: async () => undefined,
  close: () => undefined,
};
