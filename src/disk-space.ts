import { statfs } from 'node:fs/promises';

/** What is left free where nothing else is said, in bytes. */
const DEFAULT_MIN_FREE = 256 * 2 ** 20;

/** The same as a share of the disk, which is less on a small one. */
const DEFAULT_MIN_SHARE = 0.05;

/** Keeps a disk from running full: tells when there is no room for anything new, while what is there can be read and removed. */
export class DiskSpace {
  readonly #path: string;
  readonly #minFreeBytes: number | undefined;

  /**
   * @param path - a file or directory on the disk, which exists when it is asked
   * @param minFreeBytes - what has to stay free; 256 MiB, or 5 percent of a small disk, where left out
   */
  constructor(path: string, minFreeBytes?: number) {
    this.#path = path;
    this.#minFreeBytes = minFreeBytes;
  }

  /** Why `sizeBytes` more may not be written; undefined if there is room. Rejects with the error of the system. */
  async shortage(sizeBytes = 0): Promise<Error | undefined> {
    if (this.#minFreeBytes === 0) return undefined;
    const { bavail, blocks, bsize } = await statfs(this.#path);
    const free = bavail * bsize;
    const least = this.#minFreeBytes ?? Math.min(DEFAULT_MIN_FREE, blocks * bsize * DEFAULT_MIN_SHARE);
    if (free - sizeBytes >= least) return undefined;
    return new Error(
      `the disk of ASSET_DATA_DIR has ${mebibytes(free)} MiB free, and ${mebibytes(least)} MiB have to stay free ` +
        '(ASSET_MIN_FREE_SPACE): make room, or let the sweeper do it by deleting files',
    );
  }
}

function mebibytes(bytes: number): number {
  return Math.floor(bytes / 2 ** 20);
}
