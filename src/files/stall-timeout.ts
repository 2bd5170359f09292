import { AssetError } from '../errors.ts';

/**
 * Passes `source` on and fails with UPLOAD_STALLED if the next item does not come within
 * `timeoutMs`. Only the time spent waiting for the source counts, not the time that whoever reads takes.
 */
export async function* withStallTimeout<T>(source: AsyncIterable<T>, timeoutMs: number): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]();
  let stalled = false;
  /** Ends the wait for the next item; undefined while nobody waits. */
  let giveUp: ((reason: Error) => void) | undefined;
  const timer = setTimeout(() => {
    stalled = giveUp !== undefined;
    giveUp?.(stall(timeoutMs));
  }, timeoutMs);
  try {
    for (;;) {
      timer.refresh();
      const next = await new Promise<IteratorResult<T>>((resolve, reject) => {
        giveUp = reject;
        iterator.next().then(resolve, reject);
      });
      giveUp = undefined;
      if (next.done) return;
      yield next.value;
    }
  } finally {
    clearTimeout(timer);
    // A source that stalls would not answer this either.
    const closing = Promise.resolve(iterator.return?.()).catch(() => undefined);
    if (!stalled) await closing;
  }
}

function stall(timeoutMs: number): AssetError {
  const seconds = Math.round(timeoutMs / 1000);
  return new AssetError(
    'UPLOAD_STALLED',
    `no data came for ${seconds} seconds: nothing was stored, upload again`,
    {
      metadata: { stall_timeout_seconds: String(seconds) },
    },
  );
}
