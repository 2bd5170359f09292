import {
  AssetClientError,
  type FileChange,
  type FileFilter,
  toClientError,
} from '@asset-service/client-core';
import {
  assertDuration,
  assertText,
  assertWhole,
  type Connection,
  fromArguments,
  isRetriable,
  messageOf,
  Retries,
  toDuration,
  toFileChange,
  toFilterMessage,
  toWatchStart,
} from '@asset-service/client-core/internal';

type EventDelivery = Awaited<ReturnType<Connection['rpc']['pullEvents']>>['deliveries'][number];

/** How long a call waits for events, in milliseconds. */
const WAIT_MS = 20_000;

/** After this time a call that waits counts as lost, in milliseconds. */
const PULL_MS = 45_000;

/** What a handler is told besides the event. */
export interface EventContext {
  /** Number of this delivery of the event, from 1. */
  readonly attempt: number;
  /** Aborted when the event is lost to another worker, or the worker is to stop: give the work up. */
  readonly signal: AbortSignal;
}

/** Does the work of one event. The event is acknowledged when it resolves, and given back when it rejects. */
export type EventHandler = (event: FileChange, context: EventContext) => Promise<void> | void;

/** Options of {@link consume}. */
export interface ConsumeOptions {
  /** Where a new subscription starts; without effect on one that exists. Default `now`. */
  readonly from?: 'now' | 'earliest' | 'existing' | undefined;
  /** What a new subscription is about; without effect on one that exists. */
  readonly filter?: FileFilter | undefined;
  /** Number of events that are handled at the same time; default 1, at most 100. */
  readonly concurrency?: number | undefined;
  /** How long the events of a worker that is gone wait for another one, in milliseconds; default one minute. */
  readonly leaseMs?: number | undefined;
  /** Deliveries after which an event is parked; default 5. */
  readonly maxAttempts?: number | undefined;
  /** Stops: no more events are taken, and the promise resolves when the running handlers have ended. */
  readonly signal?: AbortSignal | undefined;
  /** Called when a handler rejects, and when an event was lost to another worker. */
  readonly onError?: ((error: unknown, event: FileChange) => void) | undefined;
}

/** Handles the events of a subscription until it is stopped, or fails in a way that does not pass. */
export async function consume(
  connection: Connection,
  subscription: string,
  handler: EventHandler,
  options: ConsumeOptions,
): Promise<void> {
  const { maxAttempts = 5, concurrency = 1, leaseMs = 60_000 } = options;
  assertWhole('maxAttempts', maxAttempts, 1);
  assertWhole('concurrency', concurrency, 1);
  assertDuration('leaseMs', leaseMs);
  const request = fromArguments(() => ({
    ...{ subscription: assertText('name', subscription), maxAttempts, lease: toDuration(leaseMs) },
    ...{ from: toWatchStart(options.from), filter: toFilterMessage(options.filter ?? {}) },
    wait: toDuration(WAIT_MS),
  }));
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([stop.signal, options.signal]) : stop.signal;
  const running = new Set<Promise<void>>();
  try {
    while (!signal.aborted) {
      const maxEvents = Math.min(concurrency - running.size, 100);
      if (maxEvents <= 0) {
        await Promise.race(running);
        continue;
      }
      const retries = new Retries(connection.retry, { signal }, 0, Infinity);
      const { deliveries } = await retries.run(
        (call) => connection.rpc.pullEvents({ ...request, maxEvents }, { ...call, timeoutMs: PULL_MS }),
        (failure) => isRetriable(failure) || failure.code === 'DEADLINE_EXCEEDED',
      );
      for (const delivery of deliveries) {
        const work = new Delivery(connection, subscription, delivery, { ...options, leaseMs, signal })
          .handle(handler)
          .finally(() => running.delete(work));
        running.add(work);
      }
    }
  } catch (error) {
    if (options.signal?.aborted !== true) throw toClientError(error);
  } finally {
    stop.abort();
    await Promise.all(running);
  }
}

/** One event that this worker has. */
class Delivery {
  readonly #connection: Connection;
  readonly #settle: { readonly subscription: string; readonly deliveryToken: string };
  readonly #delivery: EventDelivery;
  readonly #options: ConsumeOptions & { readonly leaseMs: number; readonly signal: AbortSignal };

  constructor(
    connection: Connection,
    subscription: string,
    delivery: EventDelivery,
    options: ConsumeOptions & { readonly leaseMs: number; readonly signal: AbortSignal },
  ) {
    this.#connection = connection;
    this.#settle = { subscription, deliveryToken: delivery.deliveryToken };
    this.#delivery = delivery;
    this.#options = options;
  }

  /** Runs the handler, keeps the lease meanwhile, and settles the event. Never rejects. */
  async handle(handler: EventHandler): Promise<void> {
    const { leaseMs, signal, onError } = this.#options;
    const event = this.#delivery.event && toFileChange(this.#delivery.event);
    const lost = new AbortController();
    const extend = setInterval(() => void this.#extend(lost), Math.max(300, leaseMs / 3));
    try {
      if (event !== undefined) {
        const context = { attempt: this.#delivery.attempt, signal: AbortSignal.any([lost.signal, signal]) };
        const failure = await run(() => handler(event, context));
        if (failure !== undefined) {
          onError?.(failure.error, event);
          const reason = messageOf(failure.error).slice(0, 500).toWellFormed();
          if (!lost.signal.aborted)
            await this.#call((call) => this.#rpc.rejectEvent({ ...this.#settle, reason }, call));
          return;
        }
      }
      await this.#call((call) => this.#rpc.ackEvent(this.#settle, call));
    } catch (error) {
      // Another worker has the event, or will have it when the lease ends.
      if (event !== undefined) onError?.(error, event);
    } finally {
      clearInterval(extend);
    }
  }

  get #rpc() {
    return this.#connection.rpc;
  }

  async #extend(lost: AbortController): Promise<void> {
    const lease = toDuration(this.#options.leaseMs);
    try {
      await this.#call((call) => this.#rpc.extendEventLease({ ...this.#settle, lease }, call));
    } catch (error) {
      if (error instanceof AssetClientError && error.reason === 'DELIVERY_LOST') lost.abort(error);
    }
  }

  /** Settling goes on while the worker stops; after the lease it has no use. */
  async #call(call: Parameters<Retries['run']>[0]): Promise<void> {
    let tries = 0;
    await new Retries(this.#connection.retry, {}, this.#options.leaseMs, Infinity).run(async (current) => {
      tries += 1;
      try {
        return await call(current);
      } catch (error) {
        // The first try settled it, and its answer was lost.
        if (tries > 1 && toClientError(error).reason === 'DELIVERY_LOST') return undefined;
        throw error;
      }
    });
  }
}

async function run(work: () => Promise<void> | void): Promise<{ readonly error: unknown } | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return { error };
  }
}
