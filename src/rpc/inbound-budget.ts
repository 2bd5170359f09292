import { AssetError } from '../errors.ts';

/** Bytes of messages that may be on their way in and not whole yet. */
export interface InboundBounds {
  /** Of all callers together. */
  readonly totalBytes: number;
  /** Of one connection, and of one caller. */
  readonly eachBytes: number;
}

const MEBIBYTE = 2 ** 20;

const RETRY_MS = 1_000;

/** What one message holds of an {@link InboundBudget}. */
export interface InboundHold {
  /**
   * Says how many bytes the message holds now; 0 when it is whole or given up.
   *
   * @throws AssetError RATE_LIMITED if that is too much; nothing is held then
   */
  set(bytes: number): void;
}

/**
 * Counts the bytes of messages that are not whole. Nobody can be asked to pay for them otherwise: they lie in memory for as
 * long as their sender likes.
 */
export class InboundBudget {
  readonly #bounds: InboundBounds;
  readonly #byHolder = new Map<unknown, number>();
  #total = 0;

  constructor(bounds: InboundBounds = { totalBytes: 192 * MEBIBYTE, eachBytes: 64 * MEBIBYTE }) {
    this.#bounds = bounds;
  }

  /** @param holders - who is bounded by itself: the connection, and the caller where it is known */
  open(holders: readonly unknown[]): InboundHold {
    let held = 0;
    const add = (bytes: number) => {
      held += bytes;
      this.#total += bytes;
      for (const holder of holders) {
        const sum = (this.#byHolder.get(holder) ?? 0) + bytes;
        if (sum === 0) this.#byHolder.delete(holder);
        else this.#byHolder.set(holder, sum);
      }
    };
    return {
      set: (bytes) => {
        add(bytes - held);
        const { totalBytes, eachBytes } = this.#bounds;
        const isTooMuch =
          this.#total > totalBytes || holders.some((holder) => (this.#byHolder.get(holder) ?? 0) > eachBytes);
        if (bytes === 0 || !isTooMuch) return;
        add(-held);
        throw new AssetError(
          'RATE_LIMITED',
          'too many bytes of unfinished messages are on their way: send fewer messages at once',
          { metadata: { limit: 'unfinished-messages' }, retryAfterMs: RETRY_MS },
        );
      },
    };
  }
}
