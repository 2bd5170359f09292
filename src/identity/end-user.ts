import { decodeJwt } from 'jose';
import { endUserNotAllowed } from '../errors/callers.ts';
import type { Principal } from './caller.ts';
import { onlyToken } from './bearer.ts';
import { invalidCredentials } from './refusals.ts';
import type { TokenVerifier } from './token-verifier.ts';

const PLACE = 'asset-user-token';

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

/** Maximum length of a subject that is counted, in characters. */
const MAX_SUBJECT_LENGTH = 255;

/**
 * The unverified subject of an end user's token; empty if there is none. Use it only to count refusals: nobody may
 * be refused because of a token that others sent in their name.
 */
export function claimedSubject([token = '']: readonly string[]): string {
  try {
    return (decodeJwt(token).sub ?? '').slice(0, MAX_SUBJECT_LENGTH);
  } catch {
    return '';
  }
}
