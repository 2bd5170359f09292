import type { S3Client } from '@aws-sdk/client-s3';

/**
 * A `Date` header has whole seconds, so a difference below this says nothing. Ignoring it also keeps the clock still,
 * which signed URLs need: within one window they have to be equal.
 */
const TOLERANCE_MS = 2_000;

/**
 * The clock that the store goes by, as its answers tell it. Signatures carry a time, and the store refuses those that
 * are too old or too new by its own clock, so everything is signed by this one and not by that of the machine.
 */
export class StoreClock {
  readonly #client: S3Client;
  #offsetMs = 0;

  /** Watches every answer that the client gets, and has the client sign by this clock as well. */
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
      // Closer to the wire than the step that throws what the store refuses: a refusal tells the time, too.
      { name: 'storeClock', step: 'deserialize', priority: 'low' },
    );
  }

  /** How far the store's clock is ahead of that of this machine, in milliseconds; 0 if they agree or nothing is known. */
  get offsetMs(): number {
    return this.#offsetMs;
  }

  /** The time at the store. */
  now(): Date {
    return new Date(Date.now() + this.#offsetMs);
  }

  /**
   * Takes in what an answer says.
   *
   * @param date - the header `Date`; anything that is no date is ignored
   * @param sentAt - when the request was sent, by the clock of this machine
   */
  observe(date: string | undefined, sentAt: number): void {
    const seconds = Date.parse(date ?? '');
    if (!Number.isNaN(seconds)) {
      const receivedAt = Date.now();
      // The store wrote the header within that second, and between sending and receiving.
      const estimate = seconds + 500 - (sentAt + receivedAt) / 2;
      const uncertainty = TOLERANCE_MS + Math.abs(receivedAt - sentAt) / 2;
      if (Math.abs(estimate - this.#offsetMs) > uncertainty) {
        this.#offsetMs = Math.abs(estimate) > uncertainty ? Math.round(estimate / 1000) * 1000 : 0;
      }
    }
    // The SDK keeps an estimate of its own, which it takes anew only where it is off by minutes.
    this.#client.config.systemClockOffset = this.#offsetMs;
  }
}
