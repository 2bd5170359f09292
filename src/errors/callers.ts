import { AssetError } from './asset-error.ts';

// Errors about who callers are and what they may do.

/** The message for a call under a host name that is not allowed. */
export const WRONG_HOST =
  'the service asks nobody who they are, and so answers under names of the loopback alone: its operators may allow another by ASSET_PUBLIC_URL';

/**
 * The error of a call without permission. It contains nothing about the file, not even the id.
 *
 * @param action - the requested action; undefined if the host name is not allowed
 */
export function permissionDenied(action?: string): AssetError {
  if (action === undefined) return denied(WRONG_HOST, {});
  return denied(
    'the caller may not do this with this file: it takes a role, the ownership of the file, or a usage that allows it',
    { action },
  );
}

function denied(message: string, metadata: Readonly<Record<string, string>>): AssetError {
  return new AssetError('PERMISSION_DENIED', message, { metadata });
}

/** Requirements for acting for an end user. */
const FOR_END_USERS = {
  role: 'takes the role asset:act-for-user: leave the header out, or have the role given to the service that calls',
  issuer: 'takes an issuer of tokens for end users: the operators of this service have to name one',
} as const;

/**
 * The error of an end user's token that is refused without being verified.
 *
 * @param header - the header with the token
 * @param missing - what is missing: the role of the calling service, or the issuer in the settings
 */
export function endUserNotAllowed(header: string, missing: keyof typeof FOR_END_USERS): AssetError {
  return new AssetError('END_USER_NOT_ALLOWED', `${header} is refused: it ${FOR_END_USERS[missing]}`);
}

/** The credential that an error is about. */
export type CredentialPlace = 'authorization' | 'asset-user-token' | 'certificate';

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
