import { AssetClientError, type ErrorReasonName, httpStatus } from '@asset-service/client-core';
import { ERRORS } from '@tus/server';

/** An error as @tus/server sends it: the body is JSON. */
export class TusError extends Error {
  readonly status_code: number;
  readonly body: string;
  /** Headers of the response. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, content: ErrorBody, retryAfter: number | undefined, cause: unknown) {
    super(content.message, { cause });
    this.name = 'TusError';
    this.status_code = status;
    // What the product throws may be JSON of its own.
    this.body = content.message.startsWith('{') ? content.message : toBody(content);
    this.headers = retryAfter === undefined ? {} : { 'Retry-After': String(retryAfter) };
  }
}

/** What the body of an error response says. */
export interface ErrorBody {
  /** Canonical code, such as `INVALID_ARGUMENT`; of an error of the tus protocol itself `PROTOCOL`. */
  readonly code: string;
  /** Reason of the contract, such as `FILE_TOO_LARGE`. */
  readonly reason?: string | undefined;
  readonly message: string;
  /** Values that the reason documents, such as `max_size_bytes`. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** The body of an error response. */
export function toBody({ code, reason, message, metadata }: ErrorBody): string {
  return JSON.stringify({ code, reason, message, metadata });
}

/** Errors of @tus/server that have a reason in the contract, by their text. */
const BY_BODY = new Map<string, readonly [code: string, reason: ErrorReasonName, status?: number]>([
  // With its own 400 the client would give up.
  [ERRORS.ABORTED.body, ['ABORTED', 'UPLOAD_TAKEN_OVER', 409]],
  [ERRORS.FILE_NOT_FOUND.body, ['NOT_FOUND', 'UPLOAD_NOT_FOUND']],
  [ERRORS.INVALID_OFFSET.body, ['OUT_OF_RANGE', 'WRITE_OFFSET_MISMATCH']],
  [ERRORS.ERR_SIZE_EXCEEDED.body, ['INVALID_ARGUMENT', 'SIZE_MISMATCH']],
  [ERRORS.ERR_MAX_SIZE_EXCEEDED.body, ['INVALID_ARGUMENT', 'FILE_TOO_LARGE']],
  [ERRORS.INVALID_TERMINATION.body, ['ALREADY_EXISTS', 'UPLOAD_FINISHED']],
]);

/** Seconds to wait before a retry, if the service does not say how long. */
const RETRY_AFTER_S = 1;

/** The response to an error of the service, of the product's functions, or of @tus/server. */
export function toTusError(error: unknown): TusError {
  if (error instanceof TusError) return error;
  if (error instanceof AssetClientError) return ofService(error);
  if (isTusError(error)) {
    const [code, reason, status = error.status_code] = BY_BODY.get(error.body) ?? ['PROTOCOL', undefined];
    return new TusError(status, { code, reason, message: error.body.trim() }, undefined, error);
  }
  return new TusError(500, { code: 'INTERNAL', message: FAILED }, undefined, error);
}

/** A request that another one for the same upload has ended. */
export function endedByAnother(): TusError {
  return toTusError(ERRORS.ABORTED);
}

const FAILED = 'the upload failed for a reason that is not told here: try again, or report it';
const AWAY = 'the file service cannot be reached or is overloaded: the upload can be continued in a moment';

function ofService(error: AssetClientError): TusError {
  const status = statusOf(error);
  const waits = status === 429 || status === 503;
  const seconds = Math.ceil((error.retryDelayMs ?? RETRY_AFTER_S * 1000) / 1000);
  const { code, reason, message, metadata } = error;
  // From 500 on the message may name addresses of the back end.
  const text = status < 500 ? { message, metadata } : { message: status === 500 ? FAILED : AWAY };
  return new TusError(status, { code, reason, ...text }, waits ? seconds : undefined, error);
}

/** A call that was broken off or timed out can be repeated like one that found nobody. */
function statusOf(error: AssetClientError): number {
  const status = httpStatus(error);
  return status === 499 || status === 504 ? 503 : status;
}

function isTusError(error: unknown): error is { status_code: number; body: string } {
  if (typeof error !== 'object' || error === null) return false;
  const { status_code, body } = error as Record<string, unknown>;
  return typeof status_code === 'number' && typeof body === 'string';
}
