import { abortedByCaller, toUploadError } from './errors.ts';

/** Longest wait between two tries, in milliseconds. */
const MAX_DELAY_MS = 10_000;

/**
 * Does something again while it fails for a reason that may pass, with growing waits. While the browser is offline it waits
 * without counting.
 *
 * @throws UploadError the last failure, or that of an aborted signal
 */
export async function withRetries<T>(
  work: (attempt: number) => Promise<T>,
  { signal, retries }: { readonly signal: AbortSignal; readonly retries: number },
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      if (signal.aborted) throw abortedByCaller(signal.reason);
      return await work(attempt);
    } catch (thrown) {
      if (signal.aborted) throw abortedByCaller(signal.reason);
      const error = toUploadError(thrown);
      if (!error.isRetriable) throw error;
      if (navigator.onLine === false) {
        await untilOnline(signal);
        attempt = 0;
        continue;
      }
      if (attempt > retries) throw error;
      const bound = Math.min(500 * 2 ** (attempt - 1), MAX_DELAY_MS);
      await pause((error.retryDelayMs ?? bound / 2) + (Math.random() * bound) / 2, signal);
    }
  }
}

function untilOnline(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const over = () => resolve();
    addEventListener('online', over, { once: true });
    signal.addEventListener('abort', over, { once: true });
  });
}

function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const over = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', over);
      resolve();
    };
    const timer = setTimeout(over, delayMs);
    signal.addEventListener('abort', over, { once: true });
  });
}
