import type { Authenticator } from './authenticator.ts';
import { endUserOf } from './end-user.ts';
import { openIssuer, type OidcOptions } from './oidc.ts';
import type { CertificatePrincipals } from './certificate-principals.ts';
import { invalidCredentials, missingCredentials } from './refusals.ts';
import type { Logger } from 'pino';

/** Who is known by which certificate. */
export interface MtlsOptions {
  readonly principals: CertificatePrincipals;
  /** The issuer of end users' tokens; without it nobody may act for a user. */
  readonly oidc: OidcOptions | undefined;
}

/** Knows services by the certificates that they connect with, and the persons they act for by access tokens. */
export function openMtls({ principals, oidc }: MtlsOptions, log: Logger): Authenticator {
  const issuer = oidc && openIssuer(oidc, log);
  return {
    challenge: undefined,
    async principalOf({ certificate }) {
      if (certificate === undefined) throw missingCredentials('connect with a client certificate');
      if (!certificate.trusted) throw invalidCredentials('certificate', 'untrusted');
      const principal = principals.principalOf(certificate.names);
      if (principal === undefined) throw invalidCredentials('certificate', 'untrusted');
      return { ...principal, expiry: { at: certificate.end, place: 'certificate' } };
    },
    async endUserOf(principal, { authorization, userToken }) {
      // Whoever sends a token means to be known by it, and would be taken for somebody else.
      if (authorization.length > 0) throw invalidCredentials('authorization', 'unexpected');
      return endUserOf(principal, userToken, issuer?.verifier);
    },
    // Services are known without the issuer, so its keys may be missing.
    check: async () => undefined,
    close: () => issuer?.keys.close(),
  };
}
