import { fileURLToPath } from 'node:url';
import { fromPath } from './source-path.ts';
import { sourceFailed } from './reading.ts';
import { bytesOf, isByteStream, readStream } from './source-stream.ts';
import type { ByteSource, ByteStream, PreparedSource, UploadSource } from './source.ts';
import { StreamWindow } from './stream-window.ts';

/**
 * Determines the kind of a source without reading it.
 *
 * @throws AssetClientError SOURCE_FAILED if it is no source or was already read
 */
export function prepareSource(source: UploadSource): PreparedSource {
  try {
    return prepare(source);
  } catch (error) {
    throw sourceFailed(error);
  }
}

function prepare(source: UploadSource): PreparedSource {
  if (typeof source === 'function') return fromOpener(source);
  if (typeof source === 'string') return fromPath(source);
  if (source instanceof URL) {
    if (source.protocol !== 'file:') throw new TypeError('only a file: URL can be uploaded');
    return fromPath(fileURLToPath(source));
  }
  if (ArrayBuffer.isView(source)) return fromBytes(bytesOf(source));
  if (isBlob(source)) return fromBlob(source);
  if (isByteStream(source)) return fromStream(source);
  throw new TypeError(
    'an upload takes a path, a file: URL, bytes, a Blob, a stream, or a function that opens one',
  );
}

/** True for a Blob or File; false for a Response, which has some of the same methods. */
function isBlob(source: unknown): source is Blob {
  if (typeof source !== 'object' || source === null) return false;
  return 'size' in source && 'slice' in source && 'arrayBuffer' in source;
}

function fromBytes(bytes: Uint8Array): PreparedSource {
  return {
    size: () => Promise.resolve(bytes.byteLength),
    canOpen: () => true,
    open: (position) =>
      Promise.resolve({ chunks: one(bytes.subarray(position)), position, close: () => Promise.resolve() }),
  };
}

async function* one(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}

function fromBlob(blob: Blob): PreparedSource {
  return {
    ...('name' in blob && typeof blob.name === 'string' ? { name: blob.name } : {}),
    ...(blob.type === '' ? {} : { contentType: blob.type }),
    size: () => Promise.resolve(blob.size),
    canOpen: () => true,
    open: (position) => Promise.resolve({ ...readStream(blob.slice(position).stream()), position }),
  };
}

/**
 * Two calls of the function may return different bytes. So every try reads and hashes from the start, and different
 * bytes fail by their checksum.
 */
function fromOpener(opener: () => ByteSource | Promise<ByteSource>): PreparedSource {
  return {
    size: () => Promise.resolve(undefined),
    canOpen: () => true,
    open: async () => {
      const source = await opener();
      if (isByteStream(source)) return { ...readStream(source), position: 0 };
      return prepareSource(source).open(0);
    },
  };
}

function fromStream(stream: ByteStream): PreparedSource {
  const { chunks, close } = readStream(stream);
  const window = new StreamWindow(chunks);
  return {
    window,
    size: () => Promise.resolve(undefined),
    canOpen: (offset) => window.holds(offset),
    open: (position) =>
      Promise.resolve({ chunks: window.read(position), position, close: () => Promise.resolve() }),
    discard: close,
  };
}
