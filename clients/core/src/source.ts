import { fileURLToPath } from 'node:url';
import { fromPath } from './source-path.ts';
import { isByteStream, readStream, StreamWindow } from './source-stream.ts';

/** Bytes that can be read only once. */
export type ByteStream = AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>;

/** Bytes to upload: a path, a `file:` URL, bytes in memory, a Blob, or any stream, also one of Node.js. */
export type ByteSource = string | URL | Uint8Array | Blob | ByteStream;

/**
 * What an upload takes. A path, bytes and a Blob can be read again from any place. Of a stream the client keeps what the
 * service may still ask for again. A function that opens one of these is called once for each try, and what the service has
 * already is read over.
 */
export type UploadSource = ByteSource | (() => ByteSource | Promise<ByteSource>);

/** A source that was opened for one try. */
export interface OpenedSource {
  /**
   * The bytes, in pieces of any size. A piece is good until the next one is asked for. Fails with SOURCE_CHANGED or with whatever
   * the source fails with.
   */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Place of the first byte of `chunks` in the file: what was asked for, or 0 where the source cannot seek. */
  readonly position: number;
  /** Lets go of the source wherever it stands; never waits for a read that hangs. */
  close(): Promise<void>;
}

/** A source before it is read. */
export interface PreparedSource {
  readonly name?: string;
  readonly contentType?: string;
  /** Present for a stream, whose bytes are kept until {@link StreamWindow.acknowledge} lets go of them. */
  readonly window?: StreamWindow;
  /** Size in bytes, where it can be known before the source is opened. */
  size(): Promise<number | undefined>;
  /** True if the bytes can be read from this place on. */
  canOpen(offset: number): boolean;
  open(offset: number): Promise<OpenedSource>;
  /** Lets go of a source that will not be read any more, whether it was opened or not. */
  discard?(): Promise<void>;
}

/** Finds out what kind of source it is, without reading it. Throws a TypeError if it is none. */
export function prepareSource(source: UploadSource): PreparedSource {
  if (typeof source === 'function') return fromOpener(source);
  if (typeof source === 'string') return fromPath(source);
  if (source instanceof URL) {
    if (source.protocol !== 'file:') throw new TypeError('only a file: URL can be uploaded');
    return fromPath(fileURLToPath(source));
  }
  if (ArrayBuffer.isView(source)) return fromBytes(source);
  if ('arrayBuffer' in source) return fromBlob(source);
  if (isByteStream(source)) return fromStream(source);
  throw new TypeError(
    'an upload takes a path, a file: URL, bytes, a Blob, a stream, or a function that opens one',
  );
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
 * Nobody can tell whether two calls of a function give the same bytes. So each is read, and hashed, from its start: other bytes
 * then fail by their checksum.
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
