import { setTimeout as sleep } from 'node:timers/promises';
import { assertDuration } from './arguments.ts';
import { type CallHeaders, checkHeaders } from './call-headers.ts';
import { AssetClientError, toClientError } from './errors.ts';

/** Retry policy. */
export interface RetryPolicy {
  /**
   * Maximum number of retries without progress; 0 for none. Default: 5 for calls that transfer no file bytes;
   * unlimited within their time for uploads and downloads.
   */
  readonly retries?: number;
  /** Maximum wait before the first retry in milliseconds, doubled for each further one. Default 500. */
  readonly baseDelayMs?: number;
  /** Maximum wait that the service did not ask for, in milliseconds. Default 10,000. */
  readonly maxDelayMs?: number;
  /** Called before each wait with the failure and the wait in milliseconds. */
  readonly onRetry?: (failure: AssetClientError, delayMs: number) => void;
}

/** Options of every call. */
export interface CallOptions {
  /** Ends the call, which rejects with CANCELLED. */
  readonly signal?: AbortSignal | undefined;
  /** Time for the call with all retries, in milliseconds; 0 for no limit. */
  readonly timeoutMs?: number | undefined;
  /** Headers of the call and its retries; they take precedence over the client's. */
  readonly headers?: CallHeaders | undefined;
}

/** Precondition of a change. */
export interface ChangeOptions extends CallOptions {
  /** Changes the record only if this is its current etag; otherwise ABORTED. */
  readonly etag?: string | undefined;
}

/** One try of a call; can be passed to the generated client as its options. */
export interface Try {
  /** 1 for the first. */
  readonly attempt: number;
  /** Aborted when the caller cancels. */
  readonly signal: AbortSignal;
  /** Remaining time in milliseconds; 0 for no limit. */
  readonly timeoutMs: number;
  readonly headers: CallHeaders;
}

/** Retries of a call that transfers no file bytes. */
const CALL_RETRIES = 5;

/** Maximum timeout that gRPC can encode (8 digits), in milliseconds: 27 hours. */
const MAX_TIMEOUT_MS = 99_999_999;

/**
 * The retries of one call. It retries UNAVAILABLE (except TLS failures), RESOURCE_EXHAUSTED (except too large
 * messages and full quotas), and ABORTED if its reason permits repeating the same call. A call whose token was
 * refused is repeated once if there is another token: once for each of its two tokens, and again after progress.
 */
export class Retries {
  readonly #signal: AbortSignal;
  readonly #policy: Required<Omit<RetryPolicy, 'onRetry'>> & Pick<RetryPolicy, 'onRetry'>;
  readonly #deadline: number;
  readonly #headers: CallHeaders | undefined;
  #attempt = 1;
  #failures = 0;
  /** The tokens that were replaced since the last progress, by the name of their header. */
  readonly #renewed = new Set<string>();

  /**
   * @param defaultTimeoutMs - time for the call unless its options set it; 0 for no limit
   * @param retries - retries unless the policy sets them
   */
  constructor(
    policy: RetryPolicy,
    call: CallOptions,
    defaultTimeoutMs: number,
    retries: number = CALL_RETRIES,
  ) {
    this.#policy = {
      retries: policy.retries ?? retries,
      baseDelayMs: policy.baseDelayMs ?? 500,
      maxDelayMs: policy.maxDelayMs ?? 10_000,
      ...(policy.onRetry && { onRetry: policy.onRetry }),
    };
    this.#signal = call.signal ?? new AbortController().signal;
    this.#headers = call.headers;
    const timeoutMs = assertDuration('timeoutMs', call.timeoutMs) ?? defaultTimeoutMs;
    this.#deadline = timeoutMs > 0 ? performance.now() + timeoutMs : Infinity;
  }

  /** Begins a try. Throws if the caller cancelled or the time is over. */
  next(): Try {
    if (this.#signal.aborted) throw toClientError(this.#signal.reason, this.#signal);
    const left = this.#deadline - performance.now();
    if (left <= 0) throw new AssetClientError('DEADLINE_EXCEEDED', 'the time for the call is over');
    return {
      attempt: this.#attempt,
      signal: this.#signal,
      timeoutMs: left === Infinity ? 0 : Math.min(Math.ceil(left), MAX_TIMEOUT_MS),
      headers: checkHeaders(this.#headers),
    };
  }

  /** The last try made progress: resets the number of retries. A long transfer outlives several tokens. */
  progressed(): void {
    this.#failures = 0;
    this.#renewed.clear();
  }

  /** Waits before the next try, or throws `error` if there is none; `again` says whether a retry can help. */
  async pause(error: AssetClientError, again = isRetriable(error)): Promise<void> {
    // The refused call had no effect, so this is not a retry and needs no wait.
    if (again && error.tokenRenewed) {
      const credential = error.metadata['credential'] ?? '';
      if (this.#renewed.has(credential)) throw error;
      this.#renewed.add(credential);
      return;
    }
    this.#failures += 1;
    if (!again || this.#failures > this.#policy.retries) throw error;
    const bound = Math.min(this.#policy.baseDelayMs * 2 ** (this.#failures - 1), this.#policy.maxDelayMs);
    // The service's delay takes precedence; the random part spreads the callers.
    const delay = (error.retryDelayMs ?? bound / 2) + (Math.random() * bound) / 2;
    // There is no time left to wait, and `error` says more than DEADLINE_EXCEEDED.
    if (performance.now() + delay >= this.#deadline) throw error;
    this.#policy.onRetry?.(error, delay);
    try {
      await sleep(delay, undefined, { signal: this.#signal });
    } catch (aborted) {
      throw toClientError(aborted, this.#signal);
    }
    this.#attempt += 1;
  }

  /** Makes a call until it succeeds or fails with an error that `again` does not permit. */
  async run<T>(
    call: (current: Try) => Promise<T>,
    again: (failure: AssetClientError) => boolean = isRetriable,
  ): Promise<T> {
    for (;;) {
      const current = this.next();
      try {
        return await call(current);
      } catch (error) {
        const failure = toClientError(error, this.#signal);
        await this.pause(failure, again(failure));
      }
    }
  }
}

/** True if the same call may succeed later. */
export function isRetriable(error: AssetClientError): boolean {
  switch (error.code) {
    case 'UNAVAILABLE':
      return error.reason !== 'TLS_FAILED';
    case 'RESOURCE_EXHAUSTED':
      return error.reason !== 'MESSAGE_TOO_LARGE' && error.reason !== 'QUOTA_EXCEEDED';
    case 'ABORTED':
      return error.reason === 'UPLOAD_EXPIRED' || error.reason === 'CONCURRENT_CHANGE';
    case 'UNAUTHENTICATED':
      return error.tokenRenewed;
    default:
      return false;
  }
}
