/** Progress of an upload. */
export interface UploadProgress {
  /** Bytes passed to the network, from the start of the file. */
  readonly sentBytes: number;
  /** Size of the file, if known. */
  readonly totalBytes: number | undefined;
  /** 1 for the first try. */
  readonly attempt: number;
  /** True if `sentBytes` is less than in the previous event, because lost bytes are sent again. */
  readonly wentBack: boolean;
}

/** Reports the progress of an upload. */
export class ProgressReporter {
  readonly #listener: ((progress: UploadProgress) => void) | undefined;
  readonly #totalBytes: number | undefined;
  #last = 0;

  constructor(listener: ((progress: UploadProgress) => void) | undefined, totalBytes: number | undefined) {
    this.#listener = listener;
    this.#totalBytes = totalBytes;
  }

  /** A try begins at `offset`; reports it only if the previous one ended elsewhere. */
  begin(offset: number, attempt: number): void {
    if (offset !== this.#last) this.sent(offset, attempt);
  }

  /** Bytes up to `sentBytes` were passed on. */
  sent(sentBytes: number, attempt: number): void {
    const wentBack = sentBytes < this.#last;
    this.#last = sentBytes;
    this.#listener?.({ sentBytes, totalBytes: this.#totalBytes, attempt, wentBack });
  }
}
