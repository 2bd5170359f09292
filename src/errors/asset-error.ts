import type { ErrorReason } from '@asset-service/contract/asset/v1/error_reason_pb.js';

/** Names of `asset.v1.ErrorReason`, without prefix. */
export type Reason = Exclude<keyof typeof ErrorReason, 'UNSPECIFIED'>;

/** Further properties of an {@link AssetError}. */
export interface AssetErrorOptions {
  /** Values for the caller, with the keys that the reason documents. Never a location or a secret. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** The underlying error, for the log only. */
  readonly cause?: unknown;
  /** How long to wait before a retry, in milliseconds; only if a retry can help. */
  readonly retryAfterMs?: number;
}

/**
 * The only error that use cases and drivers throw on purpose. The message is for the caller: what is wrong and what
 * to do. `rpc/interceptors/error-mapping.ts` gives every reason its canonical code; every other error becomes INTERNAL without details.
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

/** True if `error` is an {@link AssetError}, with one of `reasons` if given. */
export function isAssetError(error: unknown, ...reasons: Reason[]): error is AssetError {
  return error instanceof AssetError && (reasons.length === 0 || reasons.includes(error.reason));
}
