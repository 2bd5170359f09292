/** Counts who sends bytes of files: uploads, and parts of direct ones. They share the windows of HTTP/2. */
export class Senders {
  readonly #onChange: (senders: number) => void;
  #uploads = 0;
  #parts = 0;

  /** @param onChange - told the number of senders whenever it changes */
  constructor(onChange: (senders: number) => void) {
    this.#onChange = onChange;
  }

  /** Takes in how many uploads are in hand. */
  readonly setUploads = (uploads: number): void => {
    this.#uploads = uploads;
    this.#onChange(this.#uploads + this.#parts);
  };

  /** Takes in that there are more parts on their way, or fewer. */
  readonly addParts = (change: number): void => {
    this.#parts += change;
    this.#onChange(this.#uploads + this.#parts);
  };
}
