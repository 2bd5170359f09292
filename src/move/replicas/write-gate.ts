import { isAssetError } from '../../errors/asset-error.ts';

/**
 * How long a write that failed without an answer counts as running, in milliseconds: the server may still carry it out.
 */
const DOUBT_MS = 3_000;

/** How long a write is held before it fails, in milliseconds: only if the catalog is down in a pause. */
const HELD_MS = 30_000;

/** Lets writes through, or holds them until it is opened again. Held writes wait; they do not fail. */
export class WriteGate {
  readonly #heldTooLong: () => Error;
  #opened: PromiseWithResolvers<void> | undefined;
  #running = 0;
  #doubtUntil = 0;

  /** @param heldTooLong - the error of a write that was held for half a minute */
  constructor(heldTooLong: () => Error) {
    this.#heldTooLong = heldTooLong;
  }

  /** Holds writes from now on. Those that run go on to their end. */
  hold(): void {
    this.#opened ??= Promise.withResolvers<void>();
  }

  /** Lets the held writes go on, and all further ones. */
  open(): void {
    this.#opened?.resolve();
    this.#opened = undefined;
  }

  /** True while writes are held. */
  get isHeld(): boolean {
    return this.#opened !== undefined;
  }

  /** True if writes are held and none runs, or may still run at a server that did not answer. */
  get isDrained(): boolean {
    return this.isHeld && this.#running === 0 && performance.now() >= this.#doubtUntil;
  }

  /**
   * Runs a write as soon as the gate is open.
   *
   * @throws `signal.reason` if the signal is aborted while it waits; the error of the constructor if that takes too long
   */
  async run<T>(write: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#opened !== undefined) await this.#wait(signal);
    signal?.throwIfAborted();
    this.#running += 1;
    try {
      return await write();
    } catch (error) {
      const isRefused = isAssetError(error) && !error.reason.endsWith('_UNAVAILABLE');
      if (!isRefused) this.#doubtUntil = performance.now() + DOUBT_MS;
      throw error;
    } finally {
      this.#running -= 1;
    }
  }

  async #wait(signal: AbortSignal | undefined): Promise<void> {
    const limit = AbortSignal.timeout(HELD_MS);
    const end = signal ? AbortSignal.any([signal, limit]) : limit;
    try {
      while (this.#opened !== undefined) await settled(this.#opened.promise, end);
    } catch (error) {
      throw limit.aborted && !signal?.aborted ? this.#heldTooLong() : error;
    }
  }
}

/** Waits for a promise or the end of a signal. */
async function settled(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason as Error);
  signal.addEventListener('abort', abort, { once: true });
  try {
    await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
