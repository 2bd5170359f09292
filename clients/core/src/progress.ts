/** How far an upload is. */
export interface UploadProgress {
  /** Bytes handed to the network, counted from the start of the file. */
  readonly sentBytes: number;
  /** Size of the file where it is known. */
  readonly totalBytes: number | undefined;
  /** 1 for the first try. */
  readonly attempt: number;
  /** True if `sentBytes` is less than the event before said: what was lost on the way is sent again. */
  readonly wentBack: boolean;
}

/** Tells of an upload's progress, and of every step back. */
export class ProgressReporter {
  readonly #listener: ((progress: UploadProgress) => void) | undefined;
  readonly #totalBytes: number | undefined;
  #last = 0;

  constructor(listener: ((progress: UploadProgress) => void) | undefined, totalBytes: number | undefined) {
    this.#listener = listener;
    this.#totalBytes = totalBytes;
  }

  /** Says that a try begins at a place; tells of it only where that is not where the last one stood. */
  begin(offset: number, attempt: number): void {
    if (offset !== this.#last) this.sent(offset, attempt);
  }

  /** Says that bytes up to a place were handed on. */
  sent(sentBytes: number, attempt: number): void {
    const wentBack = sentBytes < this.#last;
    this.#last = sentBytes;
    this.#listener?.({ sentBytes, totalBytes: this.#totalBytes, attempt, wentBack });
  }
}
