import { create, type MessageInitShape, type DescMessage } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { ViolationsSchema } from '@asset-service/contract/buf/validate/validate_pb.js';
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from '@asset-service/contract/google/rpc/error_details_pb.js';
import { fieldPathToString } from './field-path.ts';
import { Code, ConnectError } from '@connectrpc/connect';
import { isAssetError, type Reason } from '../errors/asset-error.ts';

/** `domain` of every `google.rpc.ErrorInfo`. */
const ERROR_DOMAIN = 'asset.v1';

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
};

/** Maximum size of a request message, in bytes. A piece of a file has at most 2 MiB; other messages are smaller. */
export const MAX_MESSAGE_BYTES = 4 * 2 ** 20;

/** Limits of the violations and texts in an error: most peers accept only some KiB of headers. */
const MAX_VIOLATIONS = 10;
const MAX_TEXT = 300;
const MAX_MESSAGE = 1_000;

/** Default retry delay, in milliseconds. */
const DEFAULT_RETRY_MS = 1000;

/** Start of Connect's message when the peer has reset the stream. */
const STREAM_RESET = 'http/2 stream closed with error code';

type Detail = { desc: DescMessage; value: MessageInitShape<DescMessage> };

/**
 * Converts anything thrown into the caller's error: canonical code, ErrorInfo, and RetryInfo if a retry can help.
 * Nothing internal passes: an unexpected error becomes INTERNAL with the request id, by which operators find it in
 * the log.
 */
export function toConnectError(thrown: unknown, requestId: string): ConnectError {
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
  return error.code === Code.Unavailable || error.code === Code.DataLoss;
}

/** Gives an error of the RPC framework or of validation its reason. */
function fromFramework(error: ConnectError): ConnectError {
  const violations = error.findDetails(ViolationsSchema)[0]?.violations;
  if (violations) {
    const fieldViolations = violations.slice(0, MAX_VIOLATIONS).map((violation) => ({
      field: cut(fieldPathToString(violation.field) || firstOfOneof(violation.message)),
      description: cut(violation.message),
      reason: violation.ruleId.toUpperCase().replaceAll(/[^A-Z0-9]+/g, '_'),
    }));
    const count = violations.length > MAX_VIOLATIONS ? `${violations.length} broken rules, such as ` : '';
    const list = fieldViolations.map(({ field, description }) => `${field}: ${description}`).join('; ');
    const details = [
      errorInfo('FIELD_INVALID', { field: fieldViolations[0]?.field ?? '' }),
      badRequest(fieldViolations),
    ];
    return new ConnectError(cut(count + list, MAX_MESSAGE), Code.InvalidArgument, undefined, details);
  }
  // Clients reset the stream of a cancelled call, and not all with HTTP/2's code for it: Connect's sends
  // INTERNAL_ERROR when the deadline passes.
  if (error.rawMessage.startsWith(STREAM_RESET)) return ended(Code.Canceled);
  switch (error.code) {
    case Code.Canceled:
    case Code.Aborted:
      return ended(Code.Canceled);
    case Code.DeadlineExceeded:
      return ended(Code.DeadlineExceeded);
    case Code.ResourceExhausted: {
      // Connect and our gRPC name the limit in these words.
      const max = /readMaxBytes (\d+)/.exec(error.rawMessage)?.[1] ?? String(MAX_MESSAGE_BYTES);
      return new ConnectError(
        `a message of this call may have at most ${max} bytes: send less in one message`,
        Code.ResourceExhausted,
        undefined,
        [errorInfo('MESSAGE_TOO_LARGE', { max_bytes: max })],
      );
    }
    case Code.InvalidArgument:
      return withInfo(error, 'FIELD_INVALID');
    case Code.Internal:
      // gRPC's code for an unreadable message is INTERNAL, but the mistake is the caller's, except for outgoing
      // messages.
      if (/^(serialize|cannot encode)/.test(error.rawMessage)) return withInfo(error, 'PROTOCOL');
      return withInfo(new ConnectError(error.rawMessage, Code.InvalidArgument), 'FIELD_INVALID');
    default:
      return withInfo(error, 'PROTOCOL');
  }
}

/** A rule about several fields names none: use the first one in its message. */
function firstOfOneof(message: string): string {
  return /\bone of (\w+)/.exec(message)?.[1] ?? '';
}

function ended(code: Code.Canceled | Code.DeadlineExceeded): ConnectError {
  const message =
    code === Code.Canceled ? 'the caller gave the call up' : 'the deadline of the call has passed';
  return new ConnectError(message, code, undefined, [errorInfo('CALL_ENDED', {})]);
}

function withInfo(error: ConnectError, reason: Reason): ConnectError {
  return new ConnectError(error.rawMessage, error.code, error.metadata, [errorInfo(reason, {})]);
}

function errorInfo(reason: Reason, metadata: Readonly<Record<string, string>>): Detail {
  const facts = Object.fromEntries(Object.entries(metadata).map(([name, fact]) => [name, cut(fact)]));
  const value = create(ErrorInfoSchema, {
    ...{ reason: `ERROR_REASON_${reason}`, domain: ERROR_DOMAIN },
    metadata: facts,
  });
  return { desc: ErrorInfoSchema, value };
}

function badRequest(
  fieldViolations: readonly { readonly field: string; readonly description: string }[],
): Detail {
  return {
    desc: BadRequestSchema,
    value: create(BadRequestSchema, { fieldViolations: [...fieldViolations] }),
  };
}

function retryInfo(retryAfterMs: number): Detail {
  return {
    desc: RetryInfoSchema,
    value: create(RetryInfoSchema, { retryDelay: durationFromMs(retryAfterMs) }),
  };
}

/** A text that a caller may have chosen, shortened. */
function cut(text: string, length = MAX_TEXT): string {
  return text.length <= length ? text : `${text.slice(0, length).toWellFormed()}…`;
}

function nameOf(thrown: unknown): string {
  return typeof thrown === 'object' && thrown !== null && 'name' in thrown ? String(thrown.name) : '';
}

/** The gRPC name of a code, such as `NOT_FOUND`. */
export function codeName(code: Code): string {
  return Code[code].replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase();
}

/** The reason of an error of {@link toConnectError}, without prefix. */
export function reasonOf(error: ConnectError): string {
  return error.findDetails(ErrorInfoSchema)[0]?.reason.replace('ERROR_REASON_', '') ?? '';
}
