import { createHash } from 'node:crypto';
import { crc32c } from './crc32c.ts';

/** Checksums of a whole file. */
export interface WholeChecksums {
  readonly sha256: Buffer<ArrayBuffer>;
  readonly crc32c: number;
}

/**
 * The checksums of a file from its start on. They only move forward: bytes that have to be sent again are not hashed again, so
 * a try that begins further back needs no earlier state of the hash.
 */
export class WholeHash {
  #sha256 = createHash('sha256');
  #crc32c = 0;
  #position = 0;
  #digest: WholeChecksums | undefined;

  /** Number of bytes that are hashed. */
  get position(): number {
    return this.#position;
  }

  /** True once {@link finish} was called. */
  get isFinished(): boolean {
    return this.#digest !== undefined;
  }

  /** Forgets everything, for a source that is read from its start and may be another one by now. */
  restart(): void {
    this.#sha256 = createHash('sha256');
    this.#crc32c = 0;
    this.#position = 0;
    this.#digest = undefined;
  }

  /** Takes in what is new of a piece. Throws a RangeError if the piece lies beyond what is hashed. */
  update(piece: Uint8Array, offset: number): void {
    if (offset > this.#position) throw new RangeError('bytes were left out of the checksum');
    const fresh = piece.subarray(this.#position - offset);
    if (fresh.length === 0) return;
    this.#sha256.update(fresh);
    this.#crc32c = this.#position === 0 ? crc32c(fresh) : crc32c(fresh, this.#crc32c);
    this.#position += fresh.length;
  }

  /** The checksums; no more bytes may be taken in after it. */
  finish(): WholeChecksums {
    return (this.#digest ??= { sha256: this.#sha256.digest(), crc32c: this.#crc32c });
  }
}
