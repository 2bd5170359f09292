import { AssetError } from '../errors/asset-error.ts';
import type { Expiry } from './caller.ts';

/** The credential that an error is about. */
export type CredentialPlace = Expiry['place'];

/**
 * What is wrong with a credential, as far as its caller may know: enough to correct a setting or get a new token,
 * but not at which check a forged one failed.
 */
export type CredentialProblem = keyof typeof ADVICE;

const ADVICE = {
  malformed: 'is not one access token of its own: send exactly one, as the issuer gave it',
  expired: 'is not valid at this time: get a new one',
  audience: 'is not meant for this service: ask the issuer for a token with its audience',
  issuer: 'is not from the issuer that this service trusts',
  signature: 'cannot be verified: get a new one from the issuer that this service trusts',
  'service-account': 'is that of a service: send the access token of the person that you call for',
  unexpected: 'is not asked for here: callers show a client certificate and send no token of their own',
  untrusted: 'is not known to this service: use one that its operators have issued for you',
} as const;

/** The error for a credential that is not valid. */
export function invalidCredentials(
  place: CredentialPlace,
  problem: CredentialProblem,
  cause?: unknown,
): AssetError {
  const subject = place === 'certificate' ? 'the client certificate' : `the token in ${place}`;
  return new AssetError('CREDENTIALS_INVALID', `${subject} ${ADVICE[problem]}`, {
    metadata: { credential: place, problem },
    cause,
  });
}

/** The error for a call without credentials. */
export function missingCredentials(whatToDo: string): AssetError {
  return new AssetError('CREDENTIALS_MISSING', `the call does not say who makes it: ${whatToDo}`);
}
