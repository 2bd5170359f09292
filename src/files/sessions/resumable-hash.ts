import { createSHA256 } from 'hash-wasm';
import { combineCrc32c, crc32cOf } from '../../crc32c.ts';

/**
 * CRC32C and SHA-256 whose state can be kept and gone on with in another process, which Node's own
 * hash cannot. It costs six times the processor time of Node's.
 */
export class ResumableHash {
  readonly #sha256: Awaited<ReturnType<typeof createSHA256>>;
  #crc32c: number;

  private constructor(sha256: Awaited<ReturnType<typeof createSHA256>>, crc: number) {
    this.#sha256 = sha256;
    this.#crc32c = crc;
  }

  /** Goes on after the bytes that gave `crc` and `state`; with an empty state it begins anew. */
  static async from(crc: number, state: string): Promise<ResumableHash> {
    const sha256 = await createSHA256();
    if (state === '') sha256.init();
    else sha256.load(Buffer.from(state, 'base64'));
    return new ResumableHash(sha256, crc);
  }

  /** Takes the next bytes in. */
  update(chunk: Uint8Array): void {
    this.#crc32c = combineCrc32c(this.#crc32c, crc32cOf(chunk), chunk.byteLength);
    this.#sha256.update(chunk);
  }

  /** What {@link from} goes on with. */
  save(): { readonly crc32c: number; readonly sha256State: string } {
    return { crc32c: this.#crc32c, sha256State: Buffer.from(this.#sha256.save()).toString('base64') };
  }

  /** The checksums of all bytes, SHA-256 in hexadecimal; the hash takes no more after it. */
  finish(): { readonly crc32c: number; readonly sha256: string } {
    return { crc32c: this.#crc32c, sha256: this.#sha256.digest('hex') };
  }
}
