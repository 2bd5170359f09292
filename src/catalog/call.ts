import { AssetError } from '../errors.ts';
import { connectionFault, SetupFault, setupFaultIn } from '../setup-fault.ts';

/** How long a catalog may take over one call, in milliseconds. Leaves room within the 15 s of the contract. */
export const CALL_TIMEOUT_MS = 12_000;

/** How long a catalog may take to answer a check, in milliseconds. */
export const CHECK_TIMEOUT_MS = 4_500;

/** What a call to a catalog that does not answer rejects with. `cause` goes to the log alone. */
export function unavailable(cause: unknown): AssetError {
  return new AssetError('CATALOG_UNAVAILABLE', 'The file catalog cannot be reached; try again.', {
    cause: setupFaultIn(cause) ?? connectionFault(cause) ?? cause,
    retryAfterMs: 1_000,
  });
}

/** What a call rejects with that would add to a catalog whose disk is about to run full. `cause` goes to the log alone. */
export function catalogFull(cause: unknown): AssetError {
  return new AssetError(
    'CATALOG_UNAVAILABLE',
    'The file catalog has no room for new files now; try again later.',
    {
      cause,
      retryAfterMs: 10_000,
    },
  );
}

/**
 * Waits for `work`, but no longer than `timeoutMs` and no longer than until `signal` is aborted. The work itself
 * is not stopped: whoever starts it sees to it that it ends.
 *
 * Rejects with `signal.reason`, or with CATALOG_UNAVAILABLE when the time is up.
 */
export async function bounded<T>(
  start: () => Promise<T>,
  signal: AbortSignal | undefined,
  timeoutMs: number = CALL_TIMEOUT_MS,
): Promise<T> {
  signal?.throwIfAborted();
  let giveUp: (() => void) | undefined;
  let timer: NodeJS.Timeout | undefined;
  const end = new Promise<never>((_, reject) => {
    giveUp = () => reject(signal?.reason);
    signal?.addEventListener('abort', giveUp, { once: true });
    timer = setTimeout(() => reject(unavailable(tooLong(timeoutMs))), timeoutMs);
  });
  try {
    return await Promise.race([start(), end]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', giveUp!);
  }
}

function tooLong(timeoutMs: number): SetupFault {
  return new SetupFault('address', `there is no answer within ${timeoutMs / 1000} s`);
}
