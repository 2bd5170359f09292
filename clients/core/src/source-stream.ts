import { isReadable, Readable } from 'node:stream';
import type { ByteStream, OpenedSource } from './source.ts';

/** True for what {@link readStream} reads. */
export function isByteStream(source: unknown): source is ByteStream {
  return (
    typeof source === 'object' && source !== null && ('getReader' in source || Symbol.asyncIterator in source)
  );
}

/**
 * Reads a web stream, Node.js stream or async iterable once. Throws a TypeError if it was already read, as far as
 * that is visible.
 */
export function readStream(stream: ByteStream): Pick<OpenedSource, 'chunks' | 'close'> {
  // Otherwise it would be read as an empty file.
  if (isSpent(stream)) throw new TypeError('the stream was read to its end, or closed, before');
  if ('getReader' in stream) {
    const reader = stream.getReader();
    async function* chunks(): AsyncGenerator<Uint8Array> {
      for (let next = await reader.read(); !next.done; next = await reader.read()) yield bytesOf(next.value);
    }
    return { chunks: chunks(), close: () => reader.cancel().catch(() => undefined) };
  }
  const iterator = stream[Symbol.asyncIterator]();
  // An error before the stream is read would be unhandled and end the process; reading it gives the same error.
  if (isNodeStream(stream)) stream.on('error', () => undefined);
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
      yield bytesOf(next.value);
    }
  }
  return {
    chunks: chunks(),
    close: () => {
      // `return` of a generator waits for a pending read, which may hang; a Node.js stream can be destroyed.
      if (isNodeStream(stream)) stream.destroy();
      void iterator.return?.().catch(() => undefined);
      return Promise.resolve();
    },
  };
}

function isNodeStream(stream: ByteStream): stream is Readable {
  return 'pipe' in stream && 'destroy' in stream;
}

/** True if a Node.js or web stream was read to its end; unknown for other streams. */
function isSpent(stream: ByteStream): boolean {
  if ('getReader' in stream) {
    // Both functions accept web streams too; their types do not say so.
    const either = stream as unknown as Readable;
    return Readable.isDisturbed(either) && !isReadable(either);
  }
  return isNodeStream(stream) && (stream.readableEnded || stream.destroyed);
}

/** The bytes of any typed array or view. Throws a TypeError for anything else. */
export function bytesOf(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  if (ArrayBuffer.isView(chunk)) return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  throw new TypeError('the source of an upload must give bytes (Uint8Array or Buffer)');
}
