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
