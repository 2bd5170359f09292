import { rateLimited, shuttingDown } from '../errors/limits.ts';
import { Turns } from './turns.ts';

/** Suggested retry delay for a refused watch, in milliseconds. */
const RETRY_MS = 5_000;

/** A slot of a running watch. Dispose it to release the slot. */
export interface WatchSlot extends Disposable {
  /** Aborted with SHUTTING_DOWN when the process is about to end. */
  readonly drained: AbortSignal;
}

/** The running watches of this process. */
export class Watches {
  readonly #max: number;
  readonly #drain = new AbortController();
  #running = 0;

  /** Spreads their events over turns of the event loop. */
  readonly turns = new Turns();

  /** @param max - maximum number of running watches; 0 for no limit */
  constructor(max: number) {
    this.#max = max;
  }

  /** Number of running watches. */
  get running(): number {
    return this.#running;
  }

  /** Aborted with SHUTTING_DOWN when the process is about to end. */
  get drained(): AbortSignal {
    return this.#drain.signal;
  }

  /**
   * Takes a slot.
   *
   * @throws AssetError RATE_LIMITED if all are taken, SHUTTING_DOWN if the process is about to end
   */
  enter(): WatchSlot {
    this.#drain.signal.throwIfAborted();
    if (this.#max > 0 && this.#running >= this.#max) {
      throw rateLimited(
        'watches',
        `this replica has ${this.#running} watches, as many as it takes`,
        RETRY_MS,
      );
    }
    this.#running += 1;
    let held = true;
    return {
      drained: this.#drain.signal,
      [Symbol.dispose]: () => {
        if (held) this.#running -= 1;
        held = false;
      },
    };
  }

  /** Ends all watches and refuses later ones, because the process is about to end. */
  close(): void {
    this.#drain.abort(shuttingDown());
  }
}
