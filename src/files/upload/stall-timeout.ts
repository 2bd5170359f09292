import { AssetError } from '../../errors/asset-error.ts';

/**
 * Yields the items of `source`. Throws UPLOAD_STALLED if one takes longer than `timeoutMs`. The time that the reader
 * takes between two items does not count.
 */
export async function* withStallTimeout<T>(source: AsyncIterable<T>, timeoutMs: number): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]();
  let stalled = false;
  /** Rejects the pending wait for the next item; undefined while the reader works. */
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
    // A stalled source may never settle this, so it is not awaited.
    const closing = Promise.resolve(iterator.return?.()).catch(() => undefined);
    if (!stalled) await closing;
  }
}

/**
 * Minimum rate over a stall timeout, in bytes per second. A slower body would hold memory and a connection too long.
 */
const MIN_BYTES_PER_SECOND = 1024;

/**
 * Like {@link withStallTimeout}; also throws UPLOAD_STALLED if the rate in a period of `timeoutMs` is below the
 * minimum.
 */
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
