import { AssetError } from './asset-error.ts';

// Errors about what callers may have or do at once.

/** Delay before the next try of an upload, in milliseconds. Only the caller knows how long the others take. */
const UPLOADS_RETRY_MS = 1_000;

/**
 * The error of an upload beside too many others.
 *
 * @param held - who has how many, for the caller
 * @param limit - the limit of open uploads of one caller; undefined for other limits
 */
export function tooManyUploads(held: string, limit?: number): AssetError {
  return new AssetError(
    'TOO_MANY_UPLOADS',
    `too many uploads at once: ${held}; finish or cancel one, or wait until one ends, and try again`,
    {
      metadata: limit === undefined ? {} : { limit: String(limit) },
      retryAfterMs: UPLOADS_RETRY_MS,
    },
  );
}

/** Limits of calls, by their names in `metadata`. */
export type CallLimit = 'reads' | 'writes' | 'downloads' | 'watches' | 'refusals' | 'unfinished-messages';

/**
 * The error of a caller that makes too many calls.
 *
 * @param excess - what is too much, for the caller
 * @param retryAfterMs - rounded up; at least 1
 */
export function rateLimited(limit: CallLimit, excess: string, retryAfterMs: number): AssetError {
  return new AssetError('RATE_LIMITED', `${excess}: wait as long as RetryInfo says`, {
    metadata: { limit },
    retryAfterMs: Math.max(1, Math.ceil(retryAfterMs)),
  });
}

/** The error of a call on a process that is about to end. */
export function shuttingDown(): AssetError {
  return new AssetError('SHUTTING_DOWN', 'this replica is shutting down: try again, another one answers', {
    retryAfterMs: 500,
  });
}
