import { catalogUnavailable } from '../errors/dependencies.ts';
import { SetupFault } from '../errors/setup-fault.ts';

/** Maximum time of one call, in milliseconds; below the 15 s of the contract. */
export const CALL_TIMEOUT_MS = 12_000;

/** Maximum time of a check, in milliseconds. */
export const CHECK_TIMEOUT_MS = 4_500;

/**
 * Waits for `work` until `timeoutMs` have passed or `signal` is aborted. Does not stop the work; its caller must do
 * that.
 *
 * Rejects with `signal.reason`, or with CATALOG_UNAVAILABLE after the timeout.
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
    timer = setTimeout(() => reject(catalogUnavailable(tooLong(timeoutMs))), timeoutMs);
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
