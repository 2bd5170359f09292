import { createHash } from 'node:crypto';
import { crc32c } from './crc32c.ts';

/** Checksums of a whole file. */
export interface WholeChecksums {
  readonly sha256: Buffer<ArrayBuffer>;
  readonly crc32c: number;
}

/**
 * The checksums of a file from its start. Bytes that are sent again are not hashed again, so a try that begins
 * earlier needs no older state of the hash.
 */
export class WholeHash {
  #sha256 = createHash('sha256');
  #crc32c = 0;
  #position = 0;
  #digest: WholeChecksums | undefined;

  /** Number of hashed bytes. */
  get position(): number {
    return this.#position;
  }

  /** True once {@link finish} was called. */
  get isFinished(): boolean {
    return this.#digest !== undefined;
  }

  /** Restarts, for a source that is read again from its start and may have changed. */
  restart(): void {
    this.#sha256 = createHash('sha256');
    this.#crc32c = 0;
    this.#position = 0;
    this.#digest = undefined;
  }

  /** Adds the new bytes of a piece. Throws a RangeError if there is a gap before the piece. */
  update(piece: Uint8Array, offset: number): void {
    if (offset > this.#position) throw new RangeError('bytes were left out of the checksum');
    const fresh = piece.subarray(this.#position - offset);
    if (fresh.length === 0) return;
    this.#sha256.update(fresh);
    this.#crc32c = this.#position === 0 ? crc32c(fresh) : crc32c(fresh, this.#crc32c);
    this.#position += fresh.length;
  }

  /** The checksums; nothing may be added afterwards. */
  finish(): WholeChecksums {
    return (this.#digest ??= { sha256: this.#sha256.digest(), crc32c: this.#crc32c });
  }
}
