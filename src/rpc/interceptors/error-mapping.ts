import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import { isAssetError, type Reason } from '../../errors/asset-error.ts';
import { atEnd, callKey, type Call } from './call-context.ts';
import { badRequest, cut, errorInfo, MAX_MESSAGE, reasonOf, retryInfo, withTrace } from './error-details.ts';
import { ended, fromFramework } from './framework-errors.ts';

/** The canonical code of every reason, as documented in `asset/v1/error_reason.proto`. */
const CODES: Record<Reason, Code> = {
  FIELD_INVALID: Code.InvalidArgument,
  FILE_NOT_FOUND: Code.NotFound,
  FILE_DELETED: Code.NotFound,
  FILE_NOT_DELETED: Code.AlreadyExists,
  UPLOAD_MESSAGE_ORDER: Code.InvalidArgument,
  UPLOAD_NOT_FINISHED: Code.InvalidArgument,
  WRITE_OFFSET_MISMATCH: Code.OutOfRange,
  SIZE_MISMATCH: Code.InvalidArgument,
  CHECKSUM_MISMATCH: Code.InvalidArgument,
  CONTENT_TYPE_MISMATCH: Code.InvalidArgument,
  CONTENT_TYPE_NOT_ALLOWED: Code.InvalidArgument,
  FILE_TOO_LARGE: Code.InvalidArgument,
  USAGE_UNKNOWN: Code.InvalidArgument,
  REQUEST_ID_REUSED: Code.AlreadyExists,
  ETAG_MISMATCH: Code.Aborted,
  CONCURRENT_CHANGE: Code.Aborted,
  FIELD_UNKNOWN: Code.InvalidArgument,
  FIELD_NOT_WRITABLE: Code.InvalidArgument,
  RELATION_UNKNOWN: Code.InvalidArgument,
  RELATION_TARGET_MISSING: Code.InvalidArgument,
  ATTRIBUTE_INVALID: Code.InvalidArgument,
  PAGE_TOKEN_INVALID: Code.InvalidArgument,
  READ_OFFSET_OUT_OF_RANGE: Code.OutOfRange,
  STORE_UNAVAILABLE: Code.Unavailable,
  CATALOG_UNAVAILABLE: Code.Unavailable,
  TOO_MANY_UPLOADS: Code.ResourceExhausted,
  SHUTTING_DOWN: Code.Unavailable,
  MESSAGE_TOO_LARGE: Code.ResourceExhausted,
  UPLOAD_STALLED: Code.DeadlineExceeded,
  UPLOAD_EXPIRED: Code.Aborted,
  BLOB_MISSING: Code.DataLoss,
  CALL_ENDED: Code.Canceled,
  INTERNAL: Code.Internal,
  PROTOCOL: Code.Unknown,
  CATALOG_REFUSED: Code.InvalidArgument,
  FILE_NOT_MOVED: Code.FailedPrecondition,
  UPLOAD_NOT_FOUND: Code.NotFound,
  UPLOAD_TAKEN_OVER: Code.Aborted,
  UPLOAD_FINISHED: Code.AlreadyExists,
  UPLOAD_TRANSPORT: Code.FailedPrecondition,
  UPLOAD_PARTS_MISSING: Code.FailedPrecondition,
  CREDENTIALS_MISSING: Code.Unauthenticated,
  CREDENTIALS_INVALID: Code.Unauthenticated,
  END_USER_NOT_ALLOWED: Code.PermissionDenied,
  IDENTITY_UNAVAILABLE: Code.Unavailable,
  PERMISSION_DENIED: Code.PermissionDenied,
  DISPOSITION_NOT_ALLOWED: Code.InvalidArgument,
  RATE_LIMITED: Code.ResourceExhausted,
  QUOTA_EXCEEDED: Code.ResourceExhausted,
  MALWARE_FOUND: Code.InvalidArgument,
  SCANNER_UNAVAILABLE: Code.Unavailable,
  CURSOR_EXPIRED: Code.OutOfRange,
  DELIVERY_LOST: Code.Aborted,
  SUBSCRIPTION_NOT_FOUND: Code.NotFound,
  VARIANT_IMPOSSIBLE: Code.FailedPrecondition,
  FILE_PINNED: Code.FailedPrecondition,
  DATASET_INVALID: Code.InvalidArgument,
  VARIANTS_UNAVAILABLE: Code.Unavailable,
};

/** What a caller is told of its call with an error. */
export type CallIds = Pick<Call, 'requestId' | 'traceId'>;

/** Default retry delay, in milliseconds. */
const DEFAULT_RETRY_MS = 1000;

/**
 * Converts anything a call throws into the caller's error; the original is its cause.
 *
 * @param challenge - value of `www-authenticate` for unidentified callers
 */
export function mapErrors(challenge: string | undefined): Interceptor {
  return atEnd(({ contextValues }) => ({
    failed: (thrown) => withChallenge(toConnectError(thrown, contextValues.get(callKey)), challenge),
  }));
}

/** The same error, which tells an unidentified caller how to identify itself. */
export function withChallenge(error: ConnectError, challenge: string | undefined): ConnectError {
  if (error.code === Code.Unauthenticated && challenge) error.metadata.set('www-authenticate', challenge);
  return error;
}

/**
 * Converts anything thrown into the caller's error: canonical code, ErrorInfo, and RetryInfo if a retry can help.
 * Nothing internal passes: an unexpected error becomes INTERNAL with the request id, by which operators find it in
 * the log. A call that belongs to a trace gets its id too.
 */
export function toConnectError(thrown: unknown, call: CallIds): ConnectError {
  return withTrace(converted(thrown, call.requestId), call.traceId);
}

function converted(thrown: unknown, requestId: string): ConnectError {
  if (isAssetError(thrown)) {
    const code = CODES[thrown.reason];
    const message = cut(thrown.message, MAX_MESSAGE);
    const details = [errorInfo(thrown.reason, thrown.metadata)];
    const field = thrown.reason === 'FIELD_INVALID' ? thrown.metadata['field'] : undefined;
    if (field !== undefined) details.push(badRequest([{ field: cut(field), description: message }]));
    const retryAfterMs = thrown.retryAfterMs ?? (code === Code.Unavailable ? DEFAULT_RETRY_MS : undefined);
    if (retryAfterMs !== undefined) details.push(retryInfo(retryAfterMs));
    return new ConnectError(message, code, undefined, details, thrown);
  }
  if (thrown instanceof ConnectError) return fromFramework(thrown);
  // A signal that is aborted without our reason gives a DOMException with this name.
  if (nameOf(thrown) === 'AbortError') return ended(Code.Canceled);
  return new ConnectError(
    'the service failed: tell its operators the request id',
    Code.Internal,
    undefined,
    [errorInfo('INTERNAL', { request_id: requestId })],
    thrown,
  );
}

/** True for an error of {@link toConnectError} that is a fault of the service, its store or its catalog. */
export function isFault(error: ConnectError): boolean {
  if (!isAssetError(error.cause)) return error.code === Code.Internal && reasonOf(error) === 'INTERNAL';
  if (isAssetError(error.cause, 'SHUTTING_DOWN')) return false;
  return error.code === Code.Unavailable || error.code === Code.DataLoss;
}

function nameOf(thrown: unknown): string {
  return typeof thrown === 'object' && thrown !== null && 'name' in thrown ? String(thrown.name) : '';
}
