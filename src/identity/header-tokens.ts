import { decodeJwt } from 'jose';
import { type CredentialPlace, invalidCredentials, missingCredentials } from '../errors/callers.ts';

/** Maximum length of a token, in characters. Keycloak's have 1,000 to 3,000. */
const MAX_TOKEN_LENGTH = 8192;

/** A signed token in compact form (RFC 7515, section 7.1) and nothing else. */
const TOKEN = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

const SCHEME = /^Bearer +/i;

/**
 * The token in the values of the header `authorization`.
 *
 * @throws AssetError CREDENTIALS_MISSING without the header, CREDENTIALS_INVALID with several values or another
 * scheme
 */
export function bearerToken(values: readonly string[]): string {
  const [value] = values;
  if (value === undefined) {
    throw missingCredentials('send the header authorization with "Bearer" and an access token');
  }
  if (!SCHEME.test(value)) throw invalidCredentials('authorization', 'malformed');
  return onlyToken(
    values.map((each) => each.replace(SCHEME, '')),
    'authorization',
  );
}

/**
 * The only token in the values of a header.
 *
 * @throws AssetError CREDENTIALS_INVALID if there are several, or the value is not in the form of a token
 */
export function onlyToken(values: readonly string[], place: CredentialPlace): string {
  const [token, ...more] = values;
  // With two tokens, a proxy in front could choose the other one.
  if (token === undefined || more.length > 0) throw invalidCredentials(place, 'malformed');
  if (token.length > MAX_TOKEN_LENGTH || !TOKEN.test(token)) throw invalidCredentials(place, 'malformed');
  return token;
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
