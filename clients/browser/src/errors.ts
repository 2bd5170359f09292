import { ErrorInfoSchema, RetryInfoSchema } from '@asset-service/contract/google/rpc/error_details_pb.js';
import { Code, ConnectError } from '@connectrpc/connect';
import { durationMs } from '@bufbuild/protobuf/wkt';

/** Why an upload failed. */
export class UploadError extends Error {
  /** Canonical code in lower case, such as `invalid_argument`; `aborted_by_caller` if the signal was aborted. */
  readonly code: string;
  /** Reason of the contract, such as `FILE_TOO_LARGE`; undefined if unknown. */
  readonly reason: string | undefined;
  /** Values that the reason documents, such as `max_size_bytes`. */
  readonly metadata: Readonly<Record<string, string>>;
  /** True if the same upload may succeed later. */
  readonly isRetriable: boolean;
  /** How long the service asks to wait, in milliseconds. */
  readonly retryDelayMs: number | undefined;

  constructor(
    code: string,
    message: string,
    options: Partial<UploadError> & { readonly cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = 'UploadError';
    this.code = code;
    this.reason = options.reason;
    this.metadata = options.metadata ?? {};
    this.isRetriable = options.isRetriable ?? false;
    this.retryDelayMs = options.retryDelayMs;
  }
}

const RETRIABLE = new Set([Code.Unavailable, Code.ResourceExhausted, Code.DeadlineExceeded]);

/** The error of a failed call. */
export function toUploadError(error: unknown): UploadError {
  if (error instanceof UploadError) return error;
  const failure = ConnectError.from(error);
  const [info] = failure.findDetails(ErrorInfoSchema);
  const [retry] = failure.findDetails(RetryInfoSchema);
  const reason = info?.reason.replace(/^ERROR_REASON_/, '');
  // What fetch() rejects with if there is no connection.
  const isOffline = error instanceof TypeError || failure.cause instanceof TypeError;
  const isRetriable = isOffline || (RETRIABLE.has(failure.code) && reason !== 'QUOTA_EXCEEDED');
  return new UploadError(isOffline ? 'unavailable' : nameOf(failure.code), failure.rawMessage, {
    ...{ reason, isRetriable, metadata: info?.metadata ?? {}, cause: error },
    ...(retry?.retryDelay && { retryDelayMs: durationMs(retry.retryDelay) }),
  });
}

/** The error of an upload whose caller aborted it. */
export function abortedByCaller(cause: unknown): UploadError {
  return new UploadError('aborted_by_caller', 'the upload was aborted', { cause });
}

function nameOf(code: Code): string {
  return Code[code].replaceAll(/(?<=[a-z])[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
}
