/** Fires once nothing has moved for a while. It runs only while it is the store's turn. */
export class StallTimer {
  readonly #timeoutMs: number;
  readonly #onStall: (error: Error) => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(timeoutMs: number, onStall: (error: Error) => void) {
    this.#timeoutMs = timeoutMs;
    this.#onStall = onStall;
  }

  /** It is the store's turn, or the store has moved: counts from now. */
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

  /** It is not the store's turn. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
