import { decodeJwt } from 'jose';
import { AssetError } from '../errors.ts';
import type { Principal } from '../files/caller.ts';
import { onlyToken } from './bearer.ts';
import { invalidCredentials } from './refusals.ts';
import type { TokenVerifier } from './token-verifier.ts';

const PLACE = 'asset-user-token';

/**
 * The person that a principal acts for.
 *
 * @param values - every value of the header `asset-user-token`
 * @param verifier - undefined where no issuer of end users' tokens is configured
 * @returns undefined if it acts for itself
 * @throws AssetError END_USER_NOT_ALLOWED, CREDENTIALS_INVALID or IDENTITY_UNAVAILABLE
 */
export async function endUserOf(
  principal: Principal,
  values: readonly string[],
  verifier: TokenVerifier | undefined,
): Promise<Principal | undefined> {
  if (values.length === 0) return undefined;
  // Before anything is said about the token: a principal without the role learns nothing about it.
  if (!principal.roles.has('act-for-user')) {
    throw new AssetError(
      'END_USER_NOT_ALLOWED',
      `only a service with the role asset:act-for-user may send ${PLACE}: leave the header out, or have the role given to the service`,
    );
  }
  if (verifier === undefined) {
    throw new AssetError(
      'END_USER_NOT_ALLOWED',
      `the service verifies no tokens of end users, so ${PLACE} is refused: its operators have to name an issuer`,
    );
  }
  const endUser = await verifier.verify(onlyToken(values, PLACE), PLACE);
  // A decision about a person must not go by the roles of a program.
  if (endUser.isService) throw invalidCredentials(PLACE, 'service-account');
  return endUser;
}

/** Longest subject that is counted by, in characters. */
const MAX_SUBJECT_LENGTH = 255;

/**
 * Whose token a principal sends, as the token says; empty if it says nothing. It is not verified, so it may only serve to count what
 * was refused: nobody may be refused for what was sent in its name.
 */
export function claimedSubject([token = '']: readonly string[]): string {
  try {
    return (decodeJwt(token).sub ?? '').slice(0, MAX_SUBJECT_LENGTH);
  } catch {
    return '';
  }
}
