import { rateLimited } from '../../errors/limits.ts';
import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import type { Readable } from 'node:stream';

/** Maximum number of bytes of incomplete incoming messages. */
interface InboundBounds {
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

/**
 * Counts the received but unread bytes of a request until it is released. Over HTTP/2 Node.js buffers what a window
 * allows while nobody reads; over HTTP/1.1 it stops reading the connection.
 *
 * @param refuse - called once if there are too many bytes
 */
export function holdUnread(
  request: IncomingMessage | Http2ServerRequest,
  budget: InboundBudget,
  refuse: (reason: Error) => void,
): { release(): void } {
  const isHttp2 = 'stream' in request;
  const source: Readable = isHttp2 ? request.stream : request;
  const hold = budget.open([isHttp2 ? request.stream.session?.socket : request.socket]);
  let isOver = false;
  const release = () => {
    isOver = true;
    hold.set(0);
  };
  const count = () => {
    if (isOver) return;
    try {
      hold.set(source.readableLength);
    } catch (error) {
      isOver = true;
      refuse(error as Error);
    }
  };
  // There is no event for bytes that arrive while a stream is paused.
  const push = source.push.bind(source);
  source.push = (...args) => {
    const hasRoom = push(...args);
    count();
    return hasRoom;
  };
  const read = source._read.bind(source);
  source._read = (size) => {
    count();
    read(size);
  };
  count();
  return { release };
}
