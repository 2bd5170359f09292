import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from '@asset-service/contract/google/rpc/error_details_pb.js';
import type { Status } from '@asset-service/contract/google/rpc/status_pb.js';
import { durationMs } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import { isBrokenConnection, isTooLargeForClient, tlsFailure } from './connection-failure.ts';
import type { ErrorCode, ErrorReasonName } from './error-names.ts';

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

/** Header of an error whose call can be repeated with another token; it never leaves the process. */
export const TOKEN_RENEWED = 'asset-client-token-renewed';

/** One field of a request that breaks a rule of the contract. */
export interface FieldViolation {
  /** Path of the field, such as `upload_spec.file.name`. */
  readonly field: string;
  /** The rule that it breaks. */
  readonly description: string;
}

/** Further properties of an {@link AssetClientError}. */
export interface AssetClientErrorOptions {
  readonly reason?: ErrorReasonName | undefined;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly retryDelayMs?: number | undefined;
  readonly fieldViolations?: readonly FieldViolation[];
  readonly tokenRenewed?: boolean;
  readonly requestId?: string | undefined;
  readonly cause?: unknown;
}

/** Marks an {@link AssetClientError} of any copy of this module: a process may load its ES and its CommonJS build. */
const BRAND = Symbol.for('@asset-service/client-core.AssetClientError');

/** The only error that the clients reject with. `instanceof` also recognizes one of another copy of this module. */
export class AssetClientError extends Error {
  readonly code: ErrorCode;
  /** Why the call failed; undefined if unknown. */
  readonly reason: ErrorReasonName | undefined;
  /** Values that the reason documents, such as `file_id`. */
  readonly metadata: Readonly<Record<string, string>>;
  /** How long the service asks to wait before a retry, in milliseconds. */
  readonly retryDelayMs: number | undefined;
  /** The invalid fields, if the reason is FIELD_INVALID. */
  readonly fieldViolations: readonly FieldViolation[];
  /** True if the service refused the call's token and the source has another one. */
  readonly tokenRenewed: boolean;
  /**
   * Request id of the failed upload: with it as `requestId` the upload is repeated or resumed without a second
   * file.
   */
  readonly requestId: string | undefined;

  constructor(code: ErrorCode, message: string, options: AssetClientErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.name = 'AssetClientError';
    this.code = code;
    this.reason = options.reason;
    this.metadata = options.metadata ?? {};
    this.retryDelayMs = options.retryDelayMs;
    this.fieldViolations = options.fieldViolations ?? [];
    this.tokenRenewed = options.tokenRenewed ?? false;
    this.requestId = options.requestId;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    // A subclass inherits this method, but only its own instances are its own.
    if (this !== AssetClientError) return Function.prototype[Symbol.hasInstance].call(this, value);
    return typeof value === 'object' && value !== null && BRAND in value;
  }
}

Object.defineProperty(AssetClientError.prototype, BRAND, { value: true });

/** The error of a call on a closed client. */
export function clientClosed(): AssetClientError {
  return new AssetClientError('FAILED_PRECONDITION', 'the client is closed', { reason: 'CLIENT_CLOSED' });
}

/** The error for an invalid argument or option. */
export function invalidOption(message: string, cause?: unknown): AssetClientError {
  return new AssetClientError('INVALID_ARGUMENT', message, { reason: 'OPTION_INVALID', cause });
}

/** The message of any thrown value. */
export function messageOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'message' in error
    ? String(error.message)
    : String(error);
}

/** The same error with the request id of the failed upload. */
export function withRequestId(error: AssetClientError, requestId: string): AssetClientError {
  if (error.requestId !== undefined) return error;
  return new AssetClientError(error.code, error.message, { ...error, requestId, cause: error.cause });
}

/**
 * Converts a rejection into an {@link AssetClientError}. `signal` is the caller's own: it distinguishes a call that
 * the caller cancelled from a broken connection.
 */
export function toClientError(error: unknown, signal?: AbortSignal): AssetClientError {
  if (error instanceof AssetClientError) return error;
  if (signal?.aborted === true) {
    return new AssetClientError('CANCELLED', 'the caller gave the call up', { cause: signal.reason });
  }
  const known = ConnectError.from(error);
  // The error of the token source.
  if (known.cause instanceof AssetClientError) return known.cause;
  const info = known.findDetails(ErrorInfoSchema)[0];
  const tls = info === undefined ? tlsFailure(known) : undefined;
  if (tls !== undefined) {
    const message = `no TLS connection to the service: ${tls}`;
    return new AssetClientError('UNAVAILABLE', message, { reason: 'TLS_FAILED', cause: error });
  }
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

/** The error in a response to a batch. */
export function statusToClientError(status: Status): AssetClientError {
  const error = new ConnectError(status.message, status.code);
  error.details = status.details.map(({ typeUrl, value }) => ({
    type: typeUrl.slice(typeUrl.lastIndexOf('/') + 1),
    value,
  }));
  return toClientError(error);
}
