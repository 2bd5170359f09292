/**
 * SHA-256 (FIPS 180-4) that can be saved and gone on with in another process, whichever implementation that has: both
 * keep the same state.
 */
export interface ResumableSha256 {
  /** Takes the next bytes in. */
  update(chunk: Uint8Array): void;
  /** The state behind the bytes so far; {@link STATE_BYTES} bytes. */
  save(): Uint8Array;
  /** The hash in hexadecimal. Nothing can follow. */
  digest(): string;
}

/** Begins a hash, or goes on with what `save` gave. */
export type OpenSha256 = (state?: Uint8Array) => Promise<ResumableSha256>;

/**
 * Where what lies in a state, in bytes: the block that is being filled, the number of bytes so far as a 64-bit number, and
 * the eight words of the hash. All numbers are little-endian.
 */
export const STATE = { block: 0, size: 64, words: 72 } as const;

/** Length of a block, in bytes. */
export const BLOCK_BYTES = 64;

/** Length of a state, in bytes. */
export const STATE_BYTES = 104;
