import { AssetClientError, messageOf, toClientError } from './errors.ts';
import type { Try } from './retry.ts';
import type { OpenedSource } from './source.ts';
import type { StreamWindow } from './stream-window.ts';
import type { WholeHash } from './whole-hash.ts';

/** The error for a source that could not be read. */
export function sourceFailed(error: unknown): AssetClientError {
  if (error instanceof AssetClientError) return error;
  const message = `the source of the upload could not be read: ${messageOf(error)}`;
  return new AssetClientError('INVALID_ARGUMENT', message, { reason: 'SOURCE_FAILED', cause: error });
}

/** A part of a source to read and hash without sending it. */
export interface Skip {
  readonly hash: WholeHash;
  /** Where to stop; Infinity for the end of the source. */
  readonly to: number;
  /** Notified of bytes that need not be kept. */
  readonly window: StreamWindow | undefined;
}

/**
 * Reads and hashes what the service already has.
 *
 * @returns the rest
 * @throws AssetClientError SOURCE_CHANGED if the source ends earlier; CANCELLED or DEADLINE_EXCEEDED also while a
 * read hangs
 */
export async function skip(
  opened: OpenedSource,
  { hash, to, window }: Skip,
  current: Try,
): Promise<AsyncGenerator<Uint8Array>> {
  const iterator = opened.chunks[Symbol.asyncIterator]();
  let at = opened.position;
  let rest: Uint8Array | undefined;
  if (at < to) {
    const end = new AbortController();
    const timer = current.timeoutMs > 0 ? setTimeout(() => end.abort(), current.timeoutMs) : undefined;
    const signal = AbortSignal.any([current.signal, end.signal]);
    try {
      while (at < to) {
        const next = await nextOrAbort(iterator, signal, current);
        if (next.done === true) break;
        const passed = next.value.subarray(0, to - at);
        hash.update(passed, at);
        at += passed.length;
        window?.acknowledge(at);
        if (passed.length < next.value.length) rest = next.value.subarray(passed.length);
      }
    } finally {
      clearTimeout(timer);
    }
    if (at < to && to !== Infinity) {
      throw new AssetClientError(
        'FAILED_PRECONDITION',
        `the source ends after ${at} bytes, but the service has ${to} of this upload already`,
        { reason: 'SOURCE_CHANGED' },
      );
    }
  }
  return (async function* () {
    if (rest !== undefined) yield rest;
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) yield next.value;
  })();
}

function nextOrAbort(
  iterator: AsyncIterator<Uint8Array>,
  signal: AbortSignal,
  current: Try,
): Promise<IteratorResult<Uint8Array>> {
  return new Promise((resolve, reject) => {
    const giveUp = () =>
      reject(
        current.signal.aborted
          ? toClientError(current.signal.reason, current.signal)
          : new AssetClientError('DEADLINE_EXCEEDED', 'the time for the call is over'),
      );
    if (signal.aborted) return giveUp();
    signal.addEventListener('abort', giveUp, { once: true });
    iterator
      .next()
      .then(resolve, (error: unknown) => reject(sourceFailed(error)))
      .finally(() => signal.removeEventListener('abort', giveUp));
  });
}
