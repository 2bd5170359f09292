import { AssetError } from '../errors.ts';
import { uploadExpired } from '../errors/shared-reasons.ts';

/** Retry delay for callers, in milliseconds. */
const RETRY_AFTER_MS = 1_000;

/** Retry delay if somebody must free space first, in milliseconds. */
const FULL_RETRY_AFTER_MS = 10_000;

/** The error of a store that is not available; `cause`, preferably a `SetupFault`, is for the log. */
export function storeUnavailable(cause: unknown): AssetError {
  return new AssetError('STORE_UNAVAILABLE', 'the blob store cannot be used now: try again later', {
    cause,
    retryAfterMs: RETRY_AFTER_MS,
  });
}

/** The error of a store without free space; `cause` is for the log. */
export function storeFull(cause: unknown): AssetError {
  return new AssetError(
    'STORE_UNAVAILABLE',
    'the blob store has no room for new files now: try again later',
    {
      cause,
      retryAfterMs: FULL_RETRY_AFTER_MS,
    },
  );
}

/** The error of a body that does not have its declared size. */
export function sizeMismatch(saidBytes: number, cameBytes: number | string): AssetError {
  return new AssetError(
    'SIZE_MISMATCH',
    `size_bytes says ${saidBytes}, but ${cameBytes} came: no file was stored, upload again with the true size or without one`,
    { metadata: { size_bytes: String(saidBytes) } },
  );
}

/** The error of bytes that do not match their CRC32C. */
export function checksumMismatch(cause?: unknown): AssetError {
  return new AssetError('CHECKSUM_MISMATCH', 'the bytes do not have the CRC32C that came with them', {
    metadata: { checksum: 'crc32c' },
    cause,
  });
}

/** The error of a multipart blob that was aborted or lost its parts. */
export function multipartGone(cause?: unknown): AssetError {
  return uploadExpired(cause);
}

/** The error of a blob that does not exist. */
export function blobMissing(cause?: unknown): AssetError {
  return new AssetError('BLOB_MISSING', 'the bytes of the file are not in the store', { cause });
}
