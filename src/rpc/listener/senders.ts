/** Counts senders of file bytes (uploads, and parts of direct uploads), which share the HTTP/2 windows. */
export class Senders {
  readonly #onChange: (senders: number) => void;
  #uploads = 0;
  #parts = 0;

  /** @param onChange - called with the number of senders when it changes */
  constructor(onChange: (senders: number) => void) {
    this.#onChange = onChange;
  }

  /** Sets the number of running uploads. */
  readonly setUploads = (uploads: number): void => {
    this.#uploads = uploads;
    this.#onChange(this.#uploads + this.#parts);
  };

  /** Changes the number of parts being received. */
  readonly addParts = (change: number): void => {
    this.#parts += change;
    this.#onChange(this.#uploads + this.#parts);
  };
}
