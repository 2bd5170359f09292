import type { Logger } from 'pino';
import type { Authenticator } from './authenticator.ts';
import type { Principal } from './caller.ts';
import { bearerToken, onlyToken } from './header-tokens.ts';
import { KeySet } from './key-set.ts';
import { keysAt, keysByDiscovery, keysInFile, type KeySource } from './key-source.ts';
import { endUserNotAllowed, invalidCredentials } from '../errors/callers.ts';
import { type TokenRules, TokenVerifier } from './token-verifier.ts';

/** The header of end users' tokens. */
const PLACE = 'asset-user-token';

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
      if (endUser?.id === principal.id) throw invalidCredentials(PLACE, 'service-account');
      return endUser;
    },
    async check() {
      await keys.ready();
    },
    close: () => keys.close(),
  };
}

/**
 * The end user that a principal acts for.
 *
 * @param values - all values of the header `asset-user-token`
 * @param verifier - undefined if no issuer of end users' tokens is configured
 * @returns undefined if it acts for itself
 * @throws AssetError END_USER_NOT_ALLOWED, CREDENTIALS_INVALID or IDENTITY_UNAVAILABLE
 */
export async function endUserOf(
  principal: Principal,
  values: readonly string[],
  verifier: TokenVerifier | undefined,
): Promise<Principal | undefined> {
  if (values.length === 0) return undefined;
  // Checked first, so that a principal without the role learns nothing about the token.
  if (!principal.roles.has('act-for-user')) throw endUserNotAllowed(PLACE, 'role');
  if (verifier === undefined) throw endUserNotAllowed(PLACE, 'issuer');
  const endUser = await verifier.verify(onlyToken(values, PLACE), PLACE);
  // Permissions of a person must not come from the roles of a service.
  if (endUser.isService) throw invalidCredentials(PLACE, 'service-account');
  return endUser;
}

function sourceOf({ issuer, jwks }: OidcOptions): KeySource {
  if (jwks === undefined) return keysByDiscovery(issuer);
  return /^https?:\/\//i.test(jwks) ? keysAt(jwks) : keysInFile(jwks);
}
