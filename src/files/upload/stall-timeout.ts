import { AssetError } from '../../errors/asset-error.ts';

/**
 * Passes `source` on; fails with UPLOAD_STALLED if the next item takes longer than `timeoutMs`. Only the wait for
 * the source counts, not the time of the reader.
 */
export async function* withStallTimeout<T>(source: AsyncIterable<T>, timeoutMs: number): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]();
  let stalled = false;
  /** Ends the wait for the next item; undefined while there is none. */
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
    // A stalled source would not answer this either.
    const closing = Promise.resolve(iterator.return?.()).catch(() => undefined);
    if (!stalled) await closing;
  }
}

/** Minimum rate of a body over a whole stall timeout, in bytes per second: a slower one holds what others need. */
const MIN_BYTES_PER_SECOND = 1024;

/** Like {@link withStallTimeout}; also fails if a period of `timeoutMs` brings less than the minimum rate. */
export async function* withProgress(
  source: AsyncIterable<Uint8Array>,
  timeoutMs: number,
): AsyncGenerator<Uint8Array> {
  const wantedBytes = (timeoutMs / 1000) * MIN_BYTES_PER_SECOND;
  let since = performance.now();
  let bytes = 0;
  for await (const chunk of withStallTimeout(source, timeoutMs)) {
    bytes += chunk.length;
    const now = performance.now();
    if (now - since >= timeoutMs) {
      if (bytes < wantedBytes) throw stall(timeoutMs);
      since = now;
      bytes = 0;
    }
    yield chunk;
  }
}

function stall(timeoutMs: number): AssetError {
  const seconds = Math.round(timeoutMs / 1000);
  return new AssetError(
    'UPLOAD_STALLED',
    `next to no data came for ${seconds} seconds: nothing was stored, upload again`,
    {
      metadata: { stall_timeout_seconds: String(seconds) },
    },
  );
}
