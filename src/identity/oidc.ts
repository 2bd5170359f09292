import type { Logger } from 'pino';
import type { Authenticator } from './authenticator.ts';
import { bearerToken } from './bearer.ts';
import { endUserOf } from './end-user.ts';
import { KeySet } from './key-set.ts';
import { keysAt, keysByDiscovery, keysInFile, type KeySource } from './key-source.ts';
import { invalidCredentials } from './refusals.ts';
import { type TokenRules, TokenVerifier } from './token-verifier.ts';

/** An issuer of access tokens. */
export interface OidcOptions extends TokenRules {
  /** URL or file path of its keys; default: the URL in its metadata. */
  readonly jwks?: string | undefined;
  /** Refresh interval of its keys, in milliseconds. */
  readonly refreshMs: number;
}

/** The keys of an issuer and the rules for its tokens. */
export function openIssuer(options: OidcOptions, log: Logger): { keys: KeySet; verifier: TokenVerifier } {
  const keys = new KeySet(sourceOf(options), { refreshMs: options.refreshMs }, log);
  return { keys, verifier: new TokenVerifier(keys, options) };
}

/** Identifies callers, services and users, by access tokens of an OpenID Connect issuer. */
export function openOidc(options: OidcOptions, log: Logger): Authenticator {
  const { keys, verifier } = openIssuer(options, log);
  return {
    challenge: 'Bearer',
    async principalOf({ authorization }) {
      return verifier.verify(bearerToken(authorization), 'authorization');
    },
    async endUserOf(principal, { userToken }) {
      const endUser = await endUserOf(principal, userToken, verifier);
      // With its own token as a user's, a service would get what is open to persons but not to its roles.
      if (endUser?.id === principal.id) throw invalidCredentials('asset-user-token', 'service-account');
      return endUser;
    },
    async check() {
      await keys.ready();
    },
    close: () => keys.close(),
  };
}

function sourceOf({ issuer, jwks }: OidcOptions): KeySource {
  if (jwks === undefined) return keysByDiscovery(issuer);
  return /^https?:\/\//i.test(jwks) ? keysAt(jwks) : keysInFile(jwks);
}
