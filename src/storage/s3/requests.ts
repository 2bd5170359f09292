import { setTimeout as sleep } from 'node:timers/promises';
import { isTransient, toStoreError } from './failures.ts';
import { StallTimer } from '../stall-timer.ts';

/** One attempt of a request. */
export interface Attempt {
  /** Ends the request. */
  readonly signal: AbortSignal;
  /** Already running; stop it while waiting for anything other than the store. */
  readonly stall: StallTimer;
  /** Ends the request because of the caller, not the store. */
  readonly fail: (reason: unknown) => void;
}

/** Options of a request. */
export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
  /** False if the request must be sent only once. */
  readonly repeat?: boolean;
  /** How long the store may make no progress, in milliseconds. */
  readonly stallTimeoutMs: number;
  /**
   * How long to wait for the response after `signal` was aborted, in milliseconds. For the time when the store may
   * have executed the request: only its response tells.
   */
  readonly graceMs?: () => number;
}

const ATTEMPTS = 4;
const FIRST_DELAY_MS = 200;
/** No attempt starts after this time, so that an outage is reported within 15 seconds. */
const REPEAT_WITHIN_MS = 7_000;

/**
 * Runs a request, retries it with growing random delays if that can help, and converts its errors. Rejects with the
 * reason of `signal` as soon as it is aborted.
 */
export async function sendRequest<T>(
  options: RequestOptions,
  request: (attempt: Attempt) => Promise<T>,
): Promise<T> {
  const { signal, repeat = true } = options;
  const started = performance.now();
  for (let attempt = 1; ; attempt++) {
    const outcome = await tryOnce(options, request);
    if ('value' in outcome) return outcome.value;
    if ('reason' in outcome) throw outcome.reason;
    const { error } = outcome;
    const late = performance.now() - started > REPEAT_WITHIN_MS;
    if (!repeat || attempt === ATTEMPTS || late || !isTransient(error)) throw toStoreError(error);
    // Callers that failed together do not retry together. Half of each delay is fixed: attempts that follow each other
    // within milliseconds all meet the same short fault.
    const delay = ((1 + Math.random()) / 2) * FIRST_DELAY_MS * 2 ** attempt;
    await sleep(delay, undefined, { ...(signal && { signal }) }).catch(() => signal?.throwIfAborted());
  }
}

async function tryOnce<T>(
  { signal, stallTimeoutMs, graceMs }: RequestOptions,
  request: (attempt: Attempt) => Promise<T>,
): Promise<{ value: T } | { error: unknown } | { reason: unknown }> {
  signal?.throwIfAborted();
  const ended = new AbortController();
  let stalled = false;
  const stall = new StallTimer(stallTimeoutMs, (error) => {
    stalled = true;
    ended.abort(error);
  });
  const attempt: Attempt = {
    signal: ended.signal,
    stall,
    fail: (reason) => ended.abort(reason),
  };
  let grace: NodeJS.Timeout | undefined;
  const onAbort = () => {
    const end = () => ended.abort(signal!.reason);
    const waitMs = graceMs?.() ?? 0;
    if (waitMs > 0) grace = setTimeout(end, waitMs);
    else end();
  };
  signal?.addEventListener('abort', onAbort, { once: true });
  stall.restart();
  try {
    return { value: await untilAborted(ended.signal, request(attempt)) };
  } catch (error) {
    if (!ended.signal.aborted) return { error };
    return stalled ? { reason: toStoreError(ended.signal.reason) } : { reason: ended.signal.reason };
  } finally {
    stall.stop();
    clearTimeout(grace);
    signal?.removeEventListener('abort', onAbort);
  }
}

/** Rejects as soon as the signal is aborted, even if the SDK waits for something that it cannot abort. */
function untilAborted<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    promise.then(resolve, reject);
  });
}
