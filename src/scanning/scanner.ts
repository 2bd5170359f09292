/** Looks for malware in the bytes of files. */
export interface MalwareScanner {
  /**
   * Begins a scan of one file. Nothing is sent before the first bytes.
   *
   * @param signal - ends the scan; what waits for it then rejects with the signal's reason
   */
  begin(signal: AbortSignal): MalwareScan;

  /** Resolves if the scanner can be reached and used, within 5 seconds. */
  check(call: { readonly signal: AbortSignal }): Promise<void>;
}

/** A scan of one file. */
export interface MalwareScan {
  /**
   * Shows the next bytes; resolves when there is room for more, so that a slow scanner slows its caller down.
   *
   * @throws AssetError SCANNER_UNAVAILABLE, FILE_TOO_LARGE
   */
  write(chunk: Uint8Array): Promise<void>;

  /**
   * Ends the file.
   *
   * @returns the name of the signature that was found; undefined if the file is clean
   * @throws AssetError SCANNER_UNAVAILABLE, FILE_TOO_LARGE
   */
  finish(): Promise<string | undefined>;

  /** Gives the scan up, unless it is over. */
  close(): void;
}
