import type { ErrorReason } from '@asset-service/contract/asset/v1/error_reason_pb.js';

/** Why a use case or a driver failed: the names of `asset.v1.ErrorReason`, without their prefix. */
export type Reason = Exclude<keyof typeof ErrorReason, 'UNSPECIFIED'>;

/** What an {@link AssetError} carries beside its reason and message. */
export interface AssetErrorOptions {
  /** Facts for the caller, by the names that the reason documents. Never a location or a secret. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** What lies behind it; goes to the log and never to the caller. */
  readonly cause?: unknown;
  /** How long to wait before the next try, in milliseconds; only where trying again can help. */
  readonly retryAfterMs?: number;
}

/**
 * The one error that use cases and drivers throw on purpose. The message is written for the caller: it
 * says what is wrong and what to do. `rpc/errors.ts` gives every reason its canonical code;
 * anything else that is thrown becomes INTERNAL with no detail.
 */
export class AssetError extends Error {
  readonly reason: Reason;
  readonly metadata: Readonly<Record<string, string>>;
  readonly retryAfterMs: number | undefined;

  constructor(reason: Reason, message: string, options: AssetErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.name = 'AssetError';
    this.reason = reason;
    this.metadata = options.metadata ?? {};
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** True if `error` is an {@link AssetError}, with one of `reasons` where any are given. */
export function isAssetError(error: unknown, ...reasons: Reason[]): error is AssetError {
  return error instanceof AssetError && (reasons.length === 0 || reasons.includes(error.reason));
}
