import { AssetError } from './asset-error.ts';

// Errors of the change log and of those who follow it.

/**
 * The error of a cursor whose next changes are not kept any more: trimmed, or the catalog was restored or replaced.
 *
 * @param cause - for the log
 */
export function cursorExpired(cause?: unknown): AssetError {
  return new AssetError(
    'CURSOR_EXPIRED',
    'the changes after this cursor are not kept any more: start again with WATCH_START_EXISTING',
    { cause },
  );
}

/** The error of a delivery that is no longer the caller's. */
export function deliveryLost(): AssetError {
  return new AssetError(
    'DELIVERY_LOST',
    'the lease of this event has ended or it was settled before, and another worker may have it: give the work up',
  );
}

/** The error of a name without a subscription. */
export function subscriptionNotFound(name: string): AssetError {
  return new AssetError(
    'SUBSCRIPTION_NOT_FOUND',
    'you have no subscription of this name: PullEvents begins one',
    {
      metadata: { subscription: name },
    },
  );
}
