import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { AssetClientError } from './errors.ts';

/** Bytes that can be read only once. */
export type ByteStream = AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>;

/** Bytes to upload: a path, a `file:` URL, bytes in memory, a Blob, or any stream, also one of Node.js. */
export type ByteSource = string | URL | Uint8Array | Blob | ByteStream;

/**
 * What an upload takes. A path, bytes and a Blob can be read again, so such an upload is made again by itself after a failure. A
 * stream cannot; a function that opens one can, and is called once for each try.
 */
export type UploadSource = ByteSource | (() => ByteSource | Promise<ByteSource>);

/** A source that was opened for one try. */
export interface OpenedSource {
  /** The bytes, in pieces of any size. Fails with SOURCE_CHANGED or with whatever the source fails with. */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Size where it can be known. */
  readonly sizeBytes: number | undefined;
  /** Lets go of the source wherever it stands; never waits for a read that hangs. */
  close(): Promise<void>;
}

/** A source before it is read. */
export interface PreparedSource {
  /** True if the bytes can be read from the start once more. */
  readonly isRepeatable: () => boolean;
  readonly name?: string;
  readonly contentType?: string;
  open(): Promise<OpenedSource>;
  /** Lets go of a source that will not be read any more, whether it was opened or not. */
  discard?(): Promise<void>;
}

/** How much of a file is read at once, in bytes. */
const READ_BYTES = 512 * 1024;

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
  if ('getReader' in source || Symbol.asyncIterator in source) return fromStream(source);
  throw new TypeError(
    'an upload takes a path, a file: URL, bytes, a Blob, a stream, or a function that opens one',
  );
}

function fromBytes(bytes: Uint8Array): PreparedSource {
  return {
    isRepeatable: () => true,
    open: () =>
      Promise.resolve({ chunks: one(bytes), sizeBytes: bytes.byteLength, close: () => Promise.resolve() }),
  };
}

async function* one(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}

function fromBlob(blob: Blob): PreparedSource {
  return {
    isRepeatable: () => true,
    ...('name' in blob && typeof blob.name === 'string' ? { name: blob.name } : {}),
    ...(blob.type === '' ? {} : { contentType: blob.type }),
    open: () => Promise.resolve({ ...readStream(blob.stream()), sizeBytes: blob.size }),
  };
}

function fromOpener(opener: () => ByteSource | Promise<ByteSource>): PreparedSource {
  return {
    isRepeatable: () => true,
    open: async () => {
      const inner = prepareSource(await opener());
      const opened = await inner.open();
      const close = async () => {
        await opened.close();
        await inner.discard?.();
      };
      return { ...opened, close };
    },
  };
}

/** Before its first byte is taken a stream is left as it is between tries: the next one may still read it. */
function fromStream(stream: ByteStream): PreparedSource {
  const { chunks, close } = readStream(stream);
  let begun = false;
  async function* watched(): AsyncGenerator<Uint8Array> {
    begun = true;
    yield* chunks;
  }
  return {
    isRepeatable: () => !begun,
    open: () => Promise.resolve({ chunks: watched(), sizeBytes: undefined, close: () => Promise.resolve() }),
    discard: close,
  };
}

function readStream(stream: ByteStream): Pick<OpenedSource, 'chunks' | 'close'> {
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

function bytesOf(chunk: unknown): Uint8Array {
  if (ArrayBuffer.isView(chunk)) return chunk as Uint8Array;
  throw new TypeError('the source of an upload must give bytes (Uint8Array or Buffer)');
}

/**
 * A file is sent as it was at the first try. One that changes meanwhile fails: half of the old bytes and half of the
 * new would otherwise become a file that never was.
 */
function fromPath(path: string): PreparedSource {
  let version: string | undefined;
  const changed = () =>
    new AssetClientError('FAILED_PRECONDITION', `${path} changed while it was being uploaded`, {
      reason: 'SOURCE_CHANGED',
    });
  return {
    isRepeatable: () => true,
    name: basename(path),
    open: async () => {
      const handle = await open(path, 'r');
      const look = async () => {
        const { size, mtimeMs, ino } = await handle.stat();
        return { size, version: `${size} ${mtimeMs} ${ino}` };
      };
      async function* chunks(size: number): AsyncGenerator<Uint8Array> {
        for (let offset = 0; offset < size;) {
          const buffer = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, size - offset));
          const { bytesRead } = await handle.read(buffer, 0, buffer.length, offset);
          if (bytesRead === 0) throw changed();
          yield buffer.subarray(0, bytesRead);
          offset += bytesRead;
        }
        if ((await look()).version !== version) throw changed();
      }
      try {
        if (!(await handle.stat()).isFile()) throw new TypeError(`${path} is not a regular file`);
        const now = await look();
        if (now.version !== (version ??= now.version)) throw changed();
        return { chunks: chunks(now.size), sizeBytes: now.size, close: () => handle.close() };
      } catch (error) {
        await handle.close();
        throw error;
      }
    },
  };
}
