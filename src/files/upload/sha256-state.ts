/**
 * SHA-256 (FIPS 180-4) whose state can be saved and continued in another process. All implementations use the same
 * state.
 */
export interface ResumableSha256 {
  /** Adds bytes. */
  update(chunk: Uint8Array): void;
  /** The state after the bytes so far; {@link STATE_BYTES} bytes. */
  save(): Uint8Array;
  /** The hash in hexadecimal. Add nothing afterwards. */
  digest(): string;
}

/** Begins a hash, or continues a saved state. */
export type OpenSha256 = (state?: Uint8Array) => Promise<ResumableSha256>;

/**
 * Layout of a state, in bytes: the incomplete block, the number of bytes so far as a 64-bit number, and the eight
 * words of the hash. All numbers are little-endian.
 */
export const STATE = { block: 0, size: 64, words: 72 } as const;

/** Block size in bytes. */
export const BLOCK_BYTES = 64;

/** State size in bytes. */
export const STATE_BYTES = 104;
