/** Scans files for malware. */
export interface MalwareScanner {
  /**
   * Begins a scan of one file. Sends nothing before the first bytes.
   *
   * @param signal - ends the scan; pending calls reject with its reason
   */
  begin(signal: AbortSignal): MalwareScan;

  /** Resolves within 5 seconds if the scanner is available. */
  check(call: { readonly signal: AbortSignal }): Promise<void>;
}

/** A scan of one file. */
export interface MalwareScan {
  /**
   * Sends the next bytes; resolves when there is room for more, so that a slow scanner slows its caller.
   *
   * @throws AssetError SCANNER_UNAVAILABLE, FILE_TOO_LARGE
   */
  write(chunk: Uint8Array): Promise<void>;

  /**
   * Ends the file.
   *
   * @returns the name of the signature found; undefined if the file is clean
   * @throws AssetError SCANNER_UNAVAILABLE, FILE_TOO_LARGE
   */
  finish(): Promise<string | undefined>;

  /** Abandons the scan if it is not finished. */
  close(): void;
}
