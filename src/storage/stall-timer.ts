/** Fires if a store makes no progress for a while. It must run only while the store has to act. */
export class StallTimer {
  readonly #timeoutMs: number;
  readonly #onStall: (error: Error) => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(timeoutMs: number, onStall: (error: Error) => void) {
    this.#timeoutMs = timeoutMs;
    this.#onStall = onStall;
  }

  /** Starts counting: the store has to act, or has made progress. */
  restart(): void {
    if (this.#timer) {
      this.#timer.refresh();
      return;
    }
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#onStall(new Error(`nothing moved for ${this.#timeoutMs} ms`));
    }, this.#timeoutMs);
  }

  /** Stops counting: the store does not have to act. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
