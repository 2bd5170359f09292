import type { Interceptor } from '@connectrpc/connect';

type Request = Parameters<ReturnType<Interceptor>>[0];

/** What to do when a call is over. A stream is over when its last message was taken, or when nobody wants more of it. */
export interface Ends {
  readonly succeeded?: () => void;
  /** The caller wants no more of the answer. */
  readonly canceled?: () => void;
  /** Returns what is thrown instead. */
  readonly failed: (thrown: unknown) => unknown;
}

/** An interceptor that does something when a call is over, unary or streaming. */
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
