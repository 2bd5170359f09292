import { AssetClientError } from './errors.ts';
import type { ErrorCode, ErrorReasonName } from './error-names.ts';

/** HTTP status by code, if the reason has no own status. */
const BY_CODE: Readonly<Record<ErrorCode, number>> = {
  INVALID_ARGUMENT: 400,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  NOT_FOUND: 404,
  ABORTED: 409,
  ALREADY_EXISTS: 409,
  FAILED_PRECONDITION: 409,
  OUT_OF_RANGE: 416,
  RESOURCE_EXHAUSTED: 429,
  CANCELLED: 499,
  DATA_LOSS: 500,
  INTERNAL: 500,
  UNKNOWN: 500,
  UNIMPLEMENTED: 501,
  UNAVAILABLE: 503,
  DEADLINE_EXCEEDED: 504,
};

const BY_REASON = new Map<ErrorReasonName, number>([
  ['UPLOAD_STALLED', 408],
  ['WRITE_OFFSET_MISMATCH', 409],
  ['ETAG_MISMATCH', 412],
  ['FILE_TOO_LARGE', 413],
  ['MESSAGE_TOO_LARGE', 413],
  ['QUOTA_EXCEEDED', 413],
  ['DOWNLOAD_TOO_LARGE', 413],
  ['CONTENT_TYPE_MISMATCH', 415],
  ['CONTENT_TYPE_NOT_ALLOWED', 415],
  ['CHECKSUM_MISMATCH', 422],
  ['MALWARE_FOUND', 422],
  // Errors of the calling program, not of whoever sent it the request.
  ['CLIENT_CLOSED', 500],
  ['TARGET_EXISTS', 500],
  ['TARGET_FAILED', 500],
  ['TOKEN_NOT_PROTECTED', 500],
]);

/**
 * The HTTP status with which a back end should respond to a failed call: by reason, otherwise by code; 500 for
 * anything that is not an {@link AssetClientError}. With 429 and 503, send the error's `retryDelayMs`, if set, as
 * Retry-After.
 */
export function httpStatus(error: unknown): number {
  if (!(error instanceof AssetClientError)) return 500;
  return (error.reason !== undefined && BY_REASON.get(error.reason)) || BY_CODE[error.code];
}
