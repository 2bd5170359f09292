import type { Authenticator } from './authenticator.ts';
import { endUserOf, openIssuer, type OidcOptions } from './oidc.ts';
import type { CertificatePrincipals } from './client-certificates.ts';
import { invalidCredentials, missingCredentials } from '../errors/callers.ts';
import type { Logger } from 'pino';

/** Options for client certificates. */
export interface MtlsOptions {
  readonly principals: CertificatePrincipals;
  /** Issuer of end users' tokens; without it no service may act for a user. */
  readonly oidc: OidcOptions | undefined;
}

/** Identifies services by client certificates, and their end users by access tokens. */
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
      // A caller that sends a token expects its identity to count; the certificate's would count instead.
      if (authorization.length > 0) throw invalidCredentials('authorization', 'unexpected');
      return endUserOf(principal, userToken, issuer?.verifier);
    },
    // Services are identified without the issuer, so missing keys are no failure.
    check: async () => undefined,
    close: () => issuer?.keys.close(),
  };
}
