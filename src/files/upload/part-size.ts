import { AssetError } from '../../errors.ts';
import type { BlobStore } from '../../storage/blob-store.ts';

const MEBIBYTE = 1024 * 1024;

/**
 * Size of the parts of a file in bytes: as wanted, within what the store allows, and so large that the parts suffice
 * for a file of known size.
 */
export function partSizeFor(
  { partLimits }: Pick<BlobStore, 'partLimits'>,
  wantedBytes: number,
  sizeBytes = 0,
): number {
  const neededBytes = Math.ceil(sizeBytes / partLimits.maxParts / MEBIBYTE) * MEBIBYTE;
  return Math.min(Math.max(wantedBytes, partLimits.minBytes, neededBytes), partLimits.maxBytes);
}

/** The error of a file of unknown size that has more bytes than the greatest number of parts can hold. */
export function tooManyParts(maxBytes: number): AssetError {
  return new AssetError(
    'FILE_TOO_LARGE',
    `a file whose size is not told beforehand may have at most ${maxBytes} bytes: give its size`,
    { metadata: { max_size_bytes: String(maxBytes) } },
  );
}
