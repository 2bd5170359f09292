import { errors, jwtVerify, type JWTPayload } from 'jose';
import { LRUCache } from 'lru-cache';
import { isAssetError } from '../errors/asset-error.ts';
import type { Principal } from './caller.ts';
import { isAccessToken, principalOf } from './claims.ts';
import type { KeySet } from './key-set.ts';
import { type CredentialPlace, type CredentialProblem, invalidCredentials } from '../errors/callers.ts';

/** Rules for valid tokens. */
export interface TokenRules {
  /** Exact value of the claim `iss`. */
  readonly issuer: string;
  /** Required value in the claim `aud`. */
  readonly audience: string;
  /** The claim with the id of the principal; `sub` is required in any case. */
  readonly subjectClaim: string;
  /** Claims of which a person's token has at least one, if it names its client. */
  readonly personClaims: readonly string[];
  /** Permitted difference from the issuer's clock, in milliseconds. */
  readonly clockSkewMs: number;
}

interface Remembered {
  readonly principal: Principal;
  readonly keyVersion: number;
  /** Expiry of the token, in milliseconds since 1970. */
  readonly end: number;
}

/** Asymmetric algorithms only: with HMAC the issuer's public key would be the secret. */
const ALGORITHMS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
];

/** Number of cached tokens; a cached token needs no signature check. */
const MAX_REMEMBERED = 5000;

/** Verifies access tokens of one issuer. */
export class TokenVerifier {
  readonly #keys: KeySet;
  readonly #rules: TokenRules;
  readonly #remembered = new LRUCache<string, Remembered>({ max: MAX_REMEMBERED });

  constructor(keys: KeySet, rules: TokenRules) {
    this.#keys = keys;
    this.#rules = rules;
  }

  /**
   * The principal of a valid token.
   *
   * @param place - the header of the token, for the error
   * @throws AssetError CREDENTIALS_INVALID if it is not valid, IDENTITY_UNAVAILABLE if it cannot be verified now
   */
  async verify(token: string, place: CredentialPlace): Promise<Principal> {
    const before = this.#remembered.get(token);
    // If a key was withdrawn, tokens it signed must be verified again.
    if (before?.keyVersion === this.#keys.version && Date.now() < before.end)
      return withPlace(before.principal, place);
    const { issuer, audience, subjectClaim, personClaims, clockSkewMs } = this.#rules;
    const { payload, protectedHeader } = await jwtVerify(token, this.#keys.find, {
      issuer,
      audience,
      algorithms: ALGORITHMS,
      clockTolerance: clockSkewMs / 1000,
      requiredClaims: ['sub', 'exp'],
    }).catch((error: unknown) => {
      if (isAssetError(error)) throw error;
      throw invalidCredentials(place, problemOf(error), error);
    });
    const named = principalOf(payload, subjectClaim, audience, personClaims);
    if (named === undefined || !isAccessToken(payload, protectedHeader.typ)) {
      throw invalidCredentials(place, 'malformed');
    }
    const end = endOf(payload) + clockSkewMs;
    const principal = { ...named, expiry: { at: end, place } };
    this.#remembered.set(token, { principal, keyVersion: this.#keys.version, end });
    return principal;
  }
}

/** The same token may be in both headers. */
function withPlace(principal: Principal, place: CredentialPlace): Principal {
  const { expiry } = principal;
  return expiry === undefined || expiry.place === place
    ? principal
    : { ...principal, expiry: { ...expiry, place } };
}

function endOf({ exp = 0 }: JWTPayload): number {
  return exp * 1000;
}

/** Claims are checked only after the signature, so a forger learns nothing about them. */
function problemOf(error: unknown): CredentialProblem {
  const { code, claim } = error as { readonly code?: unknown; readonly claim?: unknown };
  switch (code) {
    case errors.JWTExpired.code:
      return 'expired';
    case errors.JWTClaimValidationFailed.code:
      if (claim === 'aud') return 'audience';
      if (claim === 'iss') return 'issuer';
      return claim === 'nbf' ? 'expired' : 'malformed';
    case errors.JWSInvalid.code:
    case errors.JWTInvalid.code:
      return 'malformed';
    default:
      return 'signature';
  }
}
