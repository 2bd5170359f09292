import { AssetClientError } from '@asset-service/bff';

/**
 * What the BFF itself refuses. They are errors like those of the service, so that one handler answers all of them and the
 * clients of the service pass them on from a token source.
 */

/** 401: nobody is signed in, or the sign-in has ended. The page lets the person sign in again and goes on. */
export function signInRequired(
  reason: 'SIGN_IN_REQUIRED' | 'SIGN_IN_EXPIRED' = 'SIGN_IN_REQUIRED',
  cause?: unknown,
) {
  const message = reason === 'SIGN_IN_EXPIRED' ? 'the sign-in has ended: sign in again' : 'sign in first';
  return new AssetClientError('UNAUTHENTICATED', message, { reason, cause });
}

/** 403: an unsafe request that does not come from a page of this BFF. */
export function notFromHere(what: string) {
  return new AssetClientError('PERMISSION_DENIED', `refused as a forged request: ${what}`, {
    reason: 'REQUEST_FORGED',
  });
}

/** 400: a request that cannot be meant so. */
export function badRequest(message: string, reason = 'REQUEST_INVALID') {
  return new AssetClientError('INVALID_ARGUMENT', message, { reason });
}

/** 404: nothing is there, or the link has ended. */
export function notFound(message: string, reason = 'NOT_FOUND') {
  return new AssetClientError('NOT_FOUND', message, { reason });
}

/** 503: the issuer of tokens does not answer. */
export function issuerUnavailable(cause: unknown) {
  return new AssetClientError('UNAVAILABLE', 'the sign-in service does not answer', {
    reason: 'ISSUER_UNAVAILABLE',
    retryDelayMs: 2_000,
    cause,
  });
}
