/** Number of events that all watches send between two turns of the event loop. They take a few milliseconds. */
const EVENTS_PER_TURN = 32;

/**
 * Spreads the events of all watches over turns of the event loop: a change that many watches send does not keep other
 * calls waiting until the last of them has it.
 */
export class Turns {
  #left = EVENTS_PER_TURN;
  #isScheduled = false;
  readonly #waiting: (() => void)[] = [];

  /** Undefined if an event may be sent now; otherwise resolves when it may. First come, first served. */
  take(): Promise<void> | undefined {
    this.#schedule();
    if (this.#left > 0) {
      this.#left -= 1;
      return undefined;
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      const next = this.#waiting.splice(0, EVENTS_PER_TURN);
      this.#left = EVENTS_PER_TURN - next.length;
      for (const resolve of next) resolve();
      if (this.#waiting.length > 0) this.#schedule();
    });
  }
}
