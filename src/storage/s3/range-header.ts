import type { BlobRange } from '../blob.ts';

/**
 * The header for a range. Without an end if that is beyond every object: servers refuse an end that is no 64-bit
 * number like a range of an empty object.
 */
export function rangeHeader({ offset, length }: BlobRange): { readonly Range: string } {
  const last = length === undefined ? Infinity : offset + length - 1;
  return { Range: `bytes=${offset}-${last < Number.MAX_SAFE_INTEGER ? last : ''}` };
}
