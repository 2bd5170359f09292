import { AssetError } from './asset-error.ts';

// Errors of the change log and of those who follow it.

/**
 * The error of a cursor whose next changes are not kept any more: trimmed, or the catalog was restored or replaced.
 *
 * @param cause - for the log
 */
export function cursorExpired(cause?: unknown): AssetError {
  return new AssetError(
    'CURSOR_EXPIRED',
    'the changes after this cursor are not kept any more: start again with WATCH_START_EXISTING',
    { cause },
  );
}
