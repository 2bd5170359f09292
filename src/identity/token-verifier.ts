import { errors, jwtVerify, type JWTPayload } from 'jose';
import { LRUCache } from 'lru-cache';
import { isAssetError } from '../errors.ts';
import type { Principal } from '../files/caller.ts';
import { isAccessToken, principalOf } from './claims.ts';
import type { KeySet } from './key-set.ts';
import { type CredentialPlace, type CredentialProblem, invalidCredentials } from './refusals.ts';

/** What a token has to be to count. */
export interface TokenRules {
  /** The claim `iss`, to the letter. */
  readonly issuer: string;
  /** What the claim `aud` has to contain. */
  readonly audience: string;
  /** The claim that holds the id of the principal; `sub` has to be there in any case. */
  readonly subjectClaim: string;
  /** Claims of which a person's token has at least one, if it names the client that it was issued to. */
  readonly personClaims: readonly string[];
  /** How far the clock of the issuer may be off, in milliseconds. */
  readonly clockSkewMs: number;
}

interface Remembered {
  readonly principal: Principal;
  readonly keyVersion: number;
  /** When the token ends, in milliseconds since 1970. */
  readonly end: number;
}

/** Signatures by a private key alone: with a shared secret, the public key of the issuer would be the secret. */
const ALGORITHMS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
];

/** Verified tokens that are remembered, so that their next call costs no signature. */
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
   * Who a token is of, once it is known to be true.
   *
   * @param place - where the token stood, for the error
   * @throws AssetError CREDENTIALS_INVALID if it does not hold, IDENTITY_UNAVAILABLE if that cannot be told now
   */
  async verify(token: string, place: CredentialPlace): Promise<Principal> {
    const before = this.#remembered.get(token);
    // A key that was withdrawn takes with it what it has signed.
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

/** The same token may stand in both places. */
function withPlace(principal: Principal, place: CredentialPlace): Principal {
  const { expiry } = principal;
  return expiry === undefined || expiry.place === place
    ? principal
    : { ...principal, expiry: { ...expiry, place } };
}

function endOf({ exp = 0 }: JWTPayload): number {
  return exp * 1000;
}

/** The claims of a token are looked at only after its signature, so no forger is told about them. */
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
