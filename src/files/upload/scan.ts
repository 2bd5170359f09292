import { AssetError, isAssetError } from '../../errors/asset-error.ts';
import { fileTooLarge } from '../../errors/uploads.ts';
import type { Logger } from 'pino';
import type { MalwareScan, MalwareScanner } from '../../scanning/scanner.ts';

/** Settings of the malware scan of new files. */
export interface Scanning {
  readonly scanner: MalwareScanner;
  /** Maximum size of a file that the scanner accepts, in bytes. */
  readonly maxSizeBytes: number;
  /** True to store what cannot be scanned, with a warning in the log; false to refuse it. */
  readonly failOpen: boolean;
}

/** What scanning needs. */
interface ScanContext {
  readonly scanning?: Scanning | undefined;
  readonly log: Logger;
}

/**
 * Throws FILE_TOO_LARGE if a file of so many bytes cannot be scanned and may not be stored without.
 *
 * @param sizeBytes - size of the file, or a size that it has at least
 */
export function assertScannable({ scanning }: ScanContext, sizeBytes: number): void {
  if (scanning === undefined || scanning.failOpen || sizeBytes <= scanning.maxSizeBytes) return;
  throw fileTooLarge(scanning.maxSizeBytes, 'that is scanned for malware');
}

/** Scans one file while its bytes arrive. Does nothing if no scanner is configured. */
export class FileScan implements Disposable {
  readonly #context: ScanContext;
  #scan: MalwareScan | undefined;
  #sizeBytes = 0;

  /** `signal` ends the scan. */
  constructor(context: ScanContext, signal: AbortSignal) {
    this.#context = context;
    this.#scan = context.scanning?.scanner.begin(signal);
  }

  /**
   * Ends the scan after the last byte.
   *
   * @throws AssetError MALWARE_FOUND, SCANNER_UNAVAILABLE, FILE_TOO_LARGE
   */
  async assertClean(): Promise<void> {
    const signature = await this.#orSkip((scan) => scan.finish());
    if (signature === undefined) return;
    this.#context.log.warn({ signature, bytes: this.#sizeBytes }, 'malware was refused');
    throw new AssetError(
      'MALWARE_FOUND',
      `the malware scanner found ${signature} in the file: nothing was stored`,
      {
        metadata: { signature },
      },
    );
  }

  [Symbol.dispose](): void {
    this.#scan?.close();
  }

  /** Passes the next bytes to the scanner; resolves when it has taken them. Throws SCANNER_UNAVAILABLE, FILE_TOO_LARGE. */
  async show(chunk: Uint8Array): Promise<void> {
    const { scanning } = this.#context;
    this.#sizeBytes += chunk.byteLength;
    assertScannable(this.#context, this.#sizeBytes);
    if (scanning !== undefined && this.#sizeBytes > scanning.maxSizeBytes)
      this.#skip(new Error('the file is too large to be scanned'));
    await this.#orSkip((scan) => scan.write(chunk));
  }

  /** Runs one step of the scan. If it fails, the scan ends; so does the upload, unless unscanned files may be stored. */
  async #orSkip<T>(step: (scan: MalwareScan) => Promise<T>): Promise<T | undefined> {
    if (this.#scan === undefined) return undefined;
    try {
      return await step(this.#scan);
    } catch (error) {
      const passable = isAssetError(error, 'SCANNER_UNAVAILABLE', 'FILE_TOO_LARGE');
      if (!passable || !this.#context.scanning?.failOpen) throw error;
      this.#skip(error);
      return undefined;
    }
  }

  #skip(error: unknown): void {
    if (this.#scan === undefined) return;
    this.#scan.close();
    this.#scan = undefined;
    this.#context.log.warn(
      { err: error, bytes: this.#sizeBytes },
      'a file is stored without having been scanned for malware',
    );
  }
}
