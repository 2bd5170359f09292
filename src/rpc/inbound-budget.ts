import { rateLimited } from '../errors/limits.ts';

/** Maximum number of bytes of incomplete incoming messages. */
export interface InboundBounds {
  /** Of all callers together. */
  readonly totalBytes: number;
  /** Of one connection, and of one caller. */
  readonly eachBytes: number;
}

const MEBIBYTE = 2 ** 20;

const RETRY_MS = 1_000;

/** The share of one message in an {@link InboundBudget}. */
export interface InboundHold {
  /**
   * Sets the number of bytes that the message holds; 0 when it is complete or abandoned.
   *
   * @throws AssetError RATE_LIMITED if that is too much; then it holds nothing
   */
  set(bytes: number): void;
}

/** Limits the bytes of incomplete messages, which stay in memory as long as their sender likes. */
export class InboundBudget {
  readonly #bounds: InboundBounds;
  readonly #byHolder = new Map<unknown, number>();
  #total = 0;

  constructor(bounds: InboundBounds = { totalBytes: 192 * MEBIBYTE, eachBytes: 64 * MEBIBYTE }) {
    this.#bounds = bounds;
  }

  /** @param holders - who has a separate limit: the connection, and the caller if known */
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
        throw rateLimited(
          'unfinished-messages',
          'too many bytes of unfinished messages are on their way at once',
          RETRY_MS,
        );
      },
    };
  }
}
