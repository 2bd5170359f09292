import { statfs } from 'node:fs/promises';

/** Default space that must stay free, in bytes. */
const DEFAULT_MIN_FREE = 256 * 2 ** 20;

/** The same as a share of the disk; smaller on a small disk. */
const DEFAULT_MIN_SHARE = 0.05;

/**
 * Prevents a disk from running full: refuses new data if there is no room, while existing data can be read and
 * removed.
 */
export class DiskSpace {
  readonly #path: string;
  readonly #minFreeBytes: number | undefined;

  /**
   * @param path - an existing file or directory on the disk
   * @param minFreeBytes - space that must stay free; default 256 MiB, or 5 percent of a small disk
   */
  constructor(path: string, minFreeBytes?: number) {
    this.#path = path;
    this.#minFreeBytes = minFreeBytes;
  }

  /** Why `sizeBytes` more may not be written; undefined if there is room. Rejects with system errors. */
  async shortage(sizeBytes = 0): Promise<Error | undefined> {
    if (this.#minFreeBytes === 0) return undefined;
    const { bavail, blocks, bsize } = await statfs(this.#path);
    const free = bavail * bsize;
    const least = this.#minFreeBytes ?? Math.min(DEFAULT_MIN_FREE, blocks * bsize * DEFAULT_MIN_SHARE);
    if (free - sizeBytes >= least) return undefined;
    return new Error(
      `the disk of ${this.#path} has ${mebibytes(free)} MiB free, and ${mebibytes(least)} MiB have to stay free ` +
        '(ASSET_MIN_FREE_SPACE): make room. Files that are deleted make some when they are purged',
    );
  }
}

function mebibytes(bytes: number): number {
  return Math.floor(bytes / 2 ** 20);
}
