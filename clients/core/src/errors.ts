import type { ErrorReason } from '@asset-service/contract/asset/v1/error_reason_pb.js';
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from '@asset-service/contract/google/rpc/error_details_pb.js';
import type { Status } from '@asset-service/contract/google/rpc/status_pb.js';
import { durationMs } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';

/** The canonical codes that a call fails with, by their names in gRPC. */
export type ErrorCode =
  | 'CANCELLED'
  | 'UNKNOWN'
  | 'INVALID_ARGUMENT'
  | 'DEADLINE_EXCEEDED'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'PERMISSION_DENIED'
  | 'RESOURCE_EXHAUSTED'
  | 'FAILED_PRECONDITION'
  | 'ABORTED'
  | 'OUT_OF_RANGE'
  | 'UNIMPLEMENTED'
  | 'INTERNAL'
  | 'UNAVAILABLE'
  | 'DATA_LOSS'
  | 'UNAUTHENTICATED';

const CODES: Readonly<Record<Code, ErrorCode>> = {
  [Code.Canceled]: 'CANCELLED',
  [Code.Unknown]: 'UNKNOWN',
  [Code.InvalidArgument]: 'INVALID_ARGUMENT',
  [Code.DeadlineExceeded]: 'DEADLINE_EXCEEDED',
  [Code.NotFound]: 'NOT_FOUND',
  [Code.AlreadyExists]: 'ALREADY_EXISTS',
  [Code.PermissionDenied]: 'PERMISSION_DENIED',
  [Code.ResourceExhausted]: 'RESOURCE_EXHAUSTED',
  [Code.FailedPrecondition]: 'FAILED_PRECONDITION',
  [Code.Aborted]: 'ABORTED',
  [Code.OutOfRange]: 'OUT_OF_RANGE',
  [Code.Unimplemented]: 'UNIMPLEMENTED',
  [Code.Internal]: 'INTERNAL',
  [Code.Unavailable]: 'UNAVAILABLE',
  [Code.DataLoss]: 'DATA_LOSS',
  [Code.Unauthenticated]: 'UNAUTHENTICATED',
};

/**
 * Why a call failed: the names of `asset.v1.ErrorReason` without their prefix, those of a newer service too, and
 * what only a client can meet: SOURCE_CHANGED (a file became another while it was sent), SOURCE_FAILED (the
 * source of an upload could not be read; see `cause`), SOURCE_NOT_REPEATABLE (bytes of a stream are needed again that are
 * no longer in memory), DOWNLOAD_DAMAGED (bytes arrived that are not those of
 * the file), TARGET_FAILED (the local file of a download could not be written; see `cause`), TARGET_EXISTS (a download would have
 * replaced a file that nobody named), CONNECTION_LOST (no answer: the service cannot be reached or the connection broke), TOKEN_UNAVAILABLE (the issuer of
 * this client's tokens gives none, or what was given as one cannot be a token).
 */
export type ErrorReasonName =
  | Exclude<keyof typeof ErrorReason, 'UNSPECIFIED'>
  | 'SOURCE_CHANGED'
  | 'SOURCE_FAILED'
  | 'SOURCE_NOT_REPEATABLE'
  | 'DOWNLOAD_DAMAGED'
  | 'TARGET_FAILED'
  | 'TARGET_EXISTS'
  | 'CONNECTION_LOST'
  | 'TOKEN_UNAVAILABLE'
  | (string & {});

/** Header by which an error says that its call can be made again with another token; it never leaves the process. */
export const TOKEN_RENEWED = 'asset-client-token-renewed';

/** One field of a request that breaks a rule of the contract. */
export interface FieldViolation {
  /** Path of the field, such as `upload_spec.file.name`. */
  readonly field: string;
  /** The rule that it breaks. */
  readonly description: string;
}

/** What an {@link AssetClientError} carries beside its code and message. */
export interface AssetClientErrorOptions {
  readonly reason?: ErrorReasonName | undefined;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly retryDelayMs?: number | undefined;
  readonly fieldViolations?: readonly FieldViolation[];
  readonly tokenRenewed?: boolean;
  readonly cause?: unknown;
}

/** The one error that the clients reject with. */
export class AssetClientError extends Error {
  /** Canonical code. */
  readonly code: ErrorCode;
  /** Why the call failed; undefined where neither the service nor the client can tell. */
  readonly reason: ErrorReasonName | undefined;
  /** Facts that the reason documents, such as `file_id`. */
  readonly metadata: Readonly<Record<string, string>>;
  /** How long the service asks to wait before the next try, in milliseconds. */
  readonly retryDelayMs: number | undefined;
  /** The fields that are wrong, where the reason is FIELD_INVALID. */
  readonly fieldViolations: readonly FieldViolation[];
  /** True if the service refused the token of the call and there is another one by now. */
  readonly tokenRenewed: boolean;

  constructor(code: ErrorCode, message: string, options: AssetClientErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.name = 'AssetClientError';
    this.code = code;
    this.reason = options.reason;
    this.metadata = options.metadata ?? {};
    this.retryDelayMs = options.retryDelayMs;
    this.fieldViolations = options.fieldViolations ?? [];
    this.tokenRenewed = options.tokenRenewed ?? false;
  }
}

/**
 * Turns whatever a call was rejected with into an {@link AssetClientError}. `signal` is the caller's own: it
 * tells a call that the caller gave up from one whose connection broke.
 */
export function toClientError(error: unknown, signal?: AbortSignal): AssetClientError {
  if (error instanceof AssetClientError) return error;
  if (signal?.aborted === true) {
    return new AssetClientError('CANCELLED', 'the caller gave the call up', { cause: signal.reason });
  }
  const known = ConnectError.from(error);
  // What the source of a token failed with.
  if (known.cause instanceof AssetClientError) return known.cause;
  const info = known.findDetails(ErrorInfoSchema)[0];
  if (info === undefined && isBrokenConnection(known)) {
    return new AssetClientError('UNAVAILABLE', `the connection to the service failed: ${known.rawMessage}`, {
      reason: 'CONNECTION_LOST',
      cause: error,
    });
  }
  if (info === undefined && isTooLargeForClient(known)) {
    return new AssetClientError(
      'RESOURCE_EXHAUSTED',
      'the answer is larger than this client reads: ask for less at once',
      {
        reason: 'MESSAGE_TOO_LARGE',
        cause: error,
      },
    );
  }
  const delay = known.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return new AssetClientError(CODES[known.code], known.rawMessage, {
    reason: info?.reason.replace(/^ERROR_REASON_/, ''),
    metadata: info?.metadata ?? {},
    retryDelayMs: delay === undefined ? undefined : durationMs(delay),
    fieldViolations: known
      .findDetails(BadRequestSchema)
      .flatMap((bad) => bad.fieldViolations.map(({ field, description }) => ({ field, description }))),
    tokenRenewed: known.metadata.has(TOKEN_RENEWED),
    cause: error,
  });
}

/** The error that stands in the answer to a batch. */
export function statusToClientError(status: Status): AssetClientError {
  const error = new ConnectError(status.message, status.code);
  error.details = status.details.map(({ typeUrl, value }) => ({
    type: typeUrl.slice(typeUrl.lastIndexOf('/') + 1),
    value,
  }));
  return toClientError(error);
}

/** Codes of Node.js for a connection that could not be made or that ended under a call. */
const BROKEN = /^(?:E(?:CONN|PIPE|HOST|NET|TIMEDOUT|NOTFOUND|AI_AGAIN)|ERR_HTTP2_|ERR_STREAM_)/;

/**
 * A connection that ends under a call comes in several disguises: as an error of a socket, as a stream that was reset
 * with CANCEL though the caller cancelled nothing, or as an answer without its end.
 */
function isBrokenConnection(error: ConnectError): boolean {
  for (let cause: unknown = error.cause; typeof cause === 'object' && cause !== null;) {
    if ('code' in cause && typeof cause.code === 'string' && BROKEN.test(cause.code)) return true;
    cause = 'cause' in cause ? cause.cause : undefined;
  }
  return error.code === Code.Canceled || /premature|missing (?:status|trailer)/i.test(error.rawMessage);
}

/** True for a message that this client itself refused to read or to send. Doing the same again cannot help. */
function isTooLargeForClient({ code, rawMessage }: ConnectError): boolean {
  return code === Code.ResourceExhausted && /larger than configured (?:read|write)MaxBytes/.test(rawMessage);
}
