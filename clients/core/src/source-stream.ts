import { isReadable, Readable } from 'node:stream';
import type { ByteStream, OpenedSource } from './source.ts';

/** True for what {@link readStream} reads. */
export function isByteStream(source: unknown): source is ByteStream {
  return (
    typeof source === 'object' && source !== null && ('getReader' in source || Symbol.asyncIterator in source)
  );
}

/** Reads a stream of the web, of Node.js, or any other, once. Throws a TypeError if it was read already, as far as that shows. */
export function readStream(stream: ByteStream): Pick<OpenedSource, 'chunks' | 'close'> {
  // Read again it would be an empty file.
  if (isSpent(stream)) throw new TypeError('the stream was read to its end, or closed, before');
  if ('getReader' in stream) {
    const reader = stream.getReader();
    async function* chunks(): AsyncGenerator<Uint8Array> {
      for (let next = await reader.read(); !next.done; next = await reader.read()) yield bytesOf(next.value);
    }
    return { chunks: chunks(), close: () => reader.cancel().catch(() => undefined) };
  }
  const iterator = stream[Symbol.asyncIterator]();
  // A stream that fails before it is read would bring the process down; reading it gives the same error later.
  if (isNodeStream(stream)) stream.on('error', () => undefined);
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
      yield bytesOf(next.value);
    }
  }
  return {
    chunks: chunks(),
    close: () => {
      // `return` of a generator waits for a read in progress, which may hang; a stream of Node.js has a way to end that.
      if (isNodeStream(stream)) stream.destroy();
      void iterator.return?.().catch(() => undefined);
      return Promise.resolve();
    },
  };
}

function isNodeStream(stream: ByteStream): stream is Readable {
  return 'pipe' in stream && 'destroy' in stream;
}

/** True for a stream of Node.js or of the web that gives nothing any more; of another nobody can tell. */
function isSpent(stream: ByteStream): boolean {
  if ('getReader' in stream) {
    // Both take streams of the web as well, which their types do not say.
    const either = stream as unknown as Readable;
    return Readable.isDisturbed(either) && !isReadable(either);
  }
  return isNodeStream(stream) && (stream.readableEnded || stream.destroyed);
}

/** The bytes of any view, also one of larger numbers. Throws a TypeError for anything else. */
export function bytesOf(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  if (ArrayBuffer.isView(chunk)) return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  throw new TypeError('the source of an upload must give bytes (Uint8Array or Buffer)');
}
