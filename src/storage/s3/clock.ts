import type { S3Client } from '@aws-sdk/client-s3';

/**
 * A `Date` header has whole seconds, so smaller differences mean nothing. Ignoring them also keeps the clock
 * steady: signed URLs within one window must be equal.
 */
const TOLERANCE_MS = 2_000;

/**
 * The store's clock, as its responses tell it. Signatures contain a time, and the store refuses those that are too
 * old or too new by its own clock. So everything is signed with this clock instead of the machine's.
 */
export class StoreClock {
  readonly #client: S3Client;
  #offsetMs = 0;

  /** Observes every response of the client, and makes the client sign with this clock. */
  constructor(client: S3Client) {
    this.#client = client;
    client.middlewareStack.add(
      (next) => async (call) => {
        const sentAt = Date.now();
        const result = await next(call);
        const { headers } = result.response as { readonly headers?: Readonly<Record<string, string>> };
        this.observe(headers?.['date'], sentAt);
        return result;
      },
      // Before the step that throws for refusals, because a refusal has the time, too.
      { name: 'storeClock', step: 'deserialize', priority: 'low' },
    );
  }

  /** How far the store's clock is ahead of this machine's, in milliseconds; 0 if equal or unknown. */
  get offsetMs(): number {
    return this.#offsetMs;
  }

  /** The current time of the store. */
  now(): Date {
    return new Date(Date.now() + this.#offsetMs);
  }

  /**
   * Takes the time from a response.
   *
   * @param date - the header `Date`; ignored if it is not a date
   * @param sentAt - when the request was sent, by this machine's clock
   */
  observe(date: string | undefined, sentAt: number): void {
    const seconds = Date.parse(date ?? '');
    if (!Number.isNaN(seconds)) {
      const receivedAt = Date.now();
      // The store wrote the header within that second, and between request and response.
      const estimate = seconds + 500 - (sentAt + receivedAt) / 2;
      const uncertainty = TOLERANCE_MS + Math.abs(receivedAt - sentAt) / 2;
      if (Math.abs(estimate - this.#offsetMs) > uncertainty) {
        this.#offsetMs = Math.abs(estimate) > uncertainty ? Math.round(estimate / 1000) * 1000 : 0;
      }
    }
    // The SDK has its own estimate, which it updates only if it is minutes off.
    this.#client.config.systemClockOffset = this.#offsetMs;
  }
}
