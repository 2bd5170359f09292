import { crc32c } from './crc32c.ts';

/** Some bytes with their checksum, which is computed once for all who need it. */
export interface Chunk {
  readonly bytes: Uint8Array;
  readonly crc32c: number;
}

/** Checksums that a caller gave for a whole file. */
export interface ExpectedChecksums {
  readonly sha256?: Uint8Array | undefined;
  readonly crc32c?: number | undefined;
}

/** What stands at the end of the bytes of a call. */
export interface ContentEnd {
  /** Checksums of the whole file that the caller gave with the bytes. */
  readonly expected: ExpectedChecksums;
  /** True if the caller said that the file is complete. */
  readonly isComplete: boolean;
}

/**
 * The bytes of one call. It throws whatever ends them early, so that a source which ends without throwing is complete. It is
 * asked for the next bytes only when there is room for them.
 */
export type UploadContent = AsyncIterator<Chunk, ContentEnd, undefined>;

/** Some bytes with their checksum. */
export function summed(bytes: Uint8Array): Chunk {
  return { bytes, crc32c: crc32c(bytes) };
}
