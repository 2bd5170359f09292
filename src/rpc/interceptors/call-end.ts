import type { Interceptor } from '@connectrpc/connect';

type Request = Parameters<ReturnType<Interceptor>>[0];

/**
 * Callbacks for the end of a call. A stream ends when its last message was read, or when its reader stops.
 */
export interface Ends {
  readonly succeeded?: () => void;
  /** The caller stopped reading the response. */
  readonly canceled?: () => void;
  /** Returns the error to throw instead. */
  readonly failed: (thrown: unknown) => unknown;
}

/** An interceptor that runs callbacks when a unary or streaming call is over. */
export function atEnd(start: (request: Request) => Ends): Interceptor {
  return (next) => async (request) => {
    const ends = start(request);
    try {
      const response = await next(request);
      if (response.stream) return { ...response, message: watched(response.message, ends) };
      ends.succeeded?.();
      return response;
    } catch (thrown) {
      throw ends.failed(thrown);
    }
  };
}

async function* watched<T>(messages: AsyncIterable<T>, ends: Ends): AsyncGenerator<T> {
  let isOver = false;
  try {
    yield* messages;
    isOver = true;
    ends.succeeded?.();
  } catch (thrown) {
    isOver = true;
    throw ends.failed(thrown);
  } finally {
    if (!isOver) ends.canceled?.();
  }
}
