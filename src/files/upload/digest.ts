import { createHash } from 'node:crypto';
import { combineCrc32c } from './crc32c.ts';
import { checksumMismatch } from '../../errors/uploads.ts';
import type { FileScan } from './scan.ts';
import { summed, type Chunk, type ExpectedChecksums } from './chunk.ts';

/** Size and checksums of bytes that went by. */
export class Digest {
  #sizeBytes = 0;
  #crc32c = 0;
  readonly #sha256 = createHash('sha256');

  /** Number of bytes so far. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Takes the next bytes in. */
  update({ bytes, crc32c }: Chunk): void {
    this.#sizeBytes += bytes.byteLength;
    this.#crc32c = combineCrc32c(this.#crc32c, crc32c, bytes.byteLength);
    this.#sha256.update(bytes);
  }

  /** The checksums of all bytes; the digest takes no more after it. */
  finish(): { readonly sizeBytes: number; readonly sha256: Uint8Array; readonly crc32c: number } {
    return { sizeBytes: this.#sizeBytes, sha256: this.#sha256.digest(), crc32c: this.#crc32c };
  }
}

/** Reads some content and computes what it has; each chunk is shown to `scan` too. */
export async function digestOf(
  content: AsyncIterable<Uint8Array>,
  scan?: FileScan,
): Promise<{ readonly sizeBytes: number; readonly sha256: string; readonly crc32c: number }> {
  const digest = new Digest();
  for await (const chunk of content) {
    await scan?.show(chunk);
    digest.update(summed(chunk));
  }
  const { sizeBytes, sha256, crc32c } = digest.finish();
  return { sizeBytes, crc32c, sha256: Buffer.from(sha256).toString('hex') };
}

/**
 * Adds checksums of a whole file to those that came earlier.
 *
 * @throws AssetError CHECKSUM_MISMATCH if two of one kind differ
 */
export function mergeExpected(earlier: ExpectedChecksums, given: ExpectedChecksums): ExpectedChecksums {
  const wrong =
    given.sha256 && earlier.sha256 && Buffer.compare(given.sha256, earlier.sha256) !== 0
      ? 'sha256'
      : (given.crc32c ?? earlier.crc32c) !== (earlier.crc32c ?? given.crc32c)
        ? 'crc32c'
        : undefined;
  if (wrong !== undefined) throw checksumMismatch(wrong, 'the file in a later message');
  return { sha256: earlier.sha256 ?? given.sha256, crc32c: earlier.crc32c ?? given.crc32c };
}

/**
 * Throws CHECKSUM_MISMATCH unless the file has every checksum that the caller gave.
 *
 * @param actual - what the bytes have
 * @param expected - what the caller said they have
 */
export function verifyChecksums(
  actual: { readonly sha256: Uint8Array; readonly crc32c: number },
  expected: ExpectedChecksums,
): void {
  const wrong =
    expected.sha256 && Buffer.compare(actual.sha256, expected.sha256) !== 0
      ? 'sha256'
      : expected.crc32c !== undefined && expected.crc32c !== actual.crc32c
        ? 'crc32c'
        : undefined;
  if (wrong === undefined) return;
  throw checksumMismatch(wrong, 'the file');
}
