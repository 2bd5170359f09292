import { setTimeout as sleep } from 'node:timers/promises';
import { assertDuration } from './arguments.ts';
import { type CallHeaders, checkHeaders } from './call-headers.ts';
import { AssetClientError, toClientError } from './errors.ts';

/** How often and how patiently a failed call is made again. */
export interface RetryPolicy {
  /**
   * Greatest number of tries after the first without any progress between; 0 for none. Where left out 5 for calls that move no
   * bytes, and for uploads and downloads as many as their time allows.
   */
  readonly retries?: number;
  /** Longest wait before the first retry, in milliseconds; doubled for each further one. 500 where left out. */
  readonly baseDelayMs?: number;
  /** Bound of a wait that the service did not ask for, in milliseconds. 10,000 where left out. */
  readonly maxDelayMs?: number;
  /** Called before each wait with the failure and the wait in milliseconds; lets a program tell that it is waiting. */
  readonly onRetry?: (failure: AssetClientError, delayMs: number) => void;
}

/** What every call takes. */
export interface CallOptions {
  /** Ends the call, which then rejects with CANCELLED. */
  readonly signal?: AbortSignal | undefined;
  /** Time for the call with all of its retries, in milliseconds; 0 for no bound. */
  readonly timeoutMs?: number | undefined;
  /** Headers to send along, also with every retry; they go before those of the client. */
  readonly headers?: CallHeaders | undefined;
}

/** One try of a call; it can be handed to the generated client as it is. */
export interface Try {
  /** 1 for the first. */
  readonly attempt: number;
  /** Aborted when the caller gives up. */
  readonly signal: AbortSignal;
  /** Time that is left, in milliseconds; 0 if there is no bound. */
  readonly timeoutMs: number;
  /** What the caller sends along. */
  readonly headers: CallHeaders;
}

/** Tries of a call that moves no bytes, after the first. */
const CALL_RETRIES = 5;

/** Longest time that gRPC can send, in milliseconds (8 digits): 27 hours. */
const MAX_TIMEOUT_MS = 99_999_999;

/**
 * The retries of one call. Only codes that say "later" are retried: UNAVAILABLE (but not where TLS fails), RESOURCE_EXHAUSTED (but
 * not for a message that is too large or a full quota), and an ABORTED whose reason says that doing the same again is right. A call that was refused for its token is
 * made once more with another one, if there is any.
 */
export class Retries {
  readonly #signal: AbortSignal;
  readonly #policy: Required<Omit<RetryPolicy, 'onRetry'>> & Pick<RetryPolicy, 'onRetry'>;
  readonly #deadline: number;
  readonly #headers: CallHeaders | undefined;
  #attempt = 1;
  #failures = 0;
  #renewed = false;

  /**
   * @param defaultTimeoutMs - time for the call where its options name none; 0 for no bound
   * @param retries - tries after the first where the policy names no number
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

  /** Begins a try. Throws if the caller gave up or the time is over. */
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

  /** Says that the last try got somewhere, which gives the next ones the whole patience again. */
  progressed(): void {
    this.#failures = 0;
  }

  /** Waits before the next try, or throws `error` if there is to be none; `again` says whether another may help. */
  async pause(error: AssetClientError, again = isRetriable(error)): Promise<void> {
    // The service did nothing of the call, so this is no second try of it, and there is nothing to wait for.
    if (again && error.tokenRenewed) {
      if (this.#renewed) throw error;
      this.#renewed = true;
      return;
    }
    this.#failures += 1;
    if (!again || this.#failures > this.#policy.retries) throw error;
    const bound = Math.min(this.#policy.baseDelayMs * 2 ** (this.#failures - 1), this.#policy.maxDelayMs);
    // The service knows best how long it needs; the random part keeps its callers from coming back all at once.
    const delay = (error.retryDelayMs ?? bound / 2) + (Math.random() * bound) / 2;
    // Waiting past the deadline helps nobody, and the error at hand says more than DEADLINE_EXCEEDED.
    if (performance.now() + delay >= this.#deadline) throw error;
    this.#policy.onRetry?.(error, delay);
    try {
      await sleep(delay, undefined, { signal: this.#signal });
    } catch (aborted) {
      throw toClientError(aborted, this.#signal);
    }
    this.#attempt += 1;
  }

  /** Makes a call until it succeeds, or fails in a way that `again` does not let pass. */
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
