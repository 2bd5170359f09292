import { AssetError } from './asset-error.ts';

// Errors about limits of concurrent calls and of rates.

/** Retry delay of an upload, in milliseconds; only the caller knows how long its other uploads take. */
const UPLOADS_RETRY_MS = 1_000;

/**
 * The error of an upload while too many are running.
 *
 * @param held - how many there are and whose, for the caller
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
export type CallLimit =
  | ('reads' | 'writes' | 'downloads' | 'watches' | 'subscriptions' | 'refusals' | 'unfinished-messages')
  | 'variants';

/**
 * The error of a caller that makes too many calls.
 *
 * @param excess - which limit was exceeded, for the caller
 * @param retryAfterMs - rounded up; at least 1
 */
export function rateLimited(limit: CallLimit, excess: string, retryAfterMs: number): AssetError {
  return new AssetError('RATE_LIMITED', `${excess}: wait as long as RetryInfo says`, {
    metadata: { limit },
    retryAfterMs: Math.max(1, Math.ceil(retryAfterMs)),
  });
}

/** The error of a request for a variant that is not made yet, while too many others wait. */
export function tooManyVariants(): AssetError {
  return rateLimited('variants', 'too many variants wait to be made', 2_000);
}

/** The error of a call on a process that is about to end. */
export function shuttingDown(): AssetError {
  return new AssetError('SHUTTING_DOWN', 'this replica is shutting down: try again, another one answers', {
    retryAfterMs: 500,
  });
}
