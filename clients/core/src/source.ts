import type { StreamWindow } from './stream-window.ts';

/** Bytes that can be read only once. */
export type ByteStream = AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>;

/** Bytes to upload: a path, a `file:` URL, bytes in memory, a Blob, or any stream. */
export type ByteSource = string | URL | Uint8Array | Blob | ByteStream;

/**
 * The source of an upload. A path, bytes and a Blob can be read from any offset. Of a stream the client keeps what
 * the service may need again. A function that opens one of these is called once per try, and bytes that the service
 * already has are skipped.
 */
export type UploadSource = ByteSource | (() => ByteSource | Promise<ByteSource>);

/** A source opened for one try. */
export interface OpenedSource {
  /**
   * The bytes, in pieces of any size. A piece is valid until the next one is requested. Fails with SOURCE_CHANGED
   * or the source's own error.
   */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Offset of the first byte of `chunks`: the requested one, or 0 if the source cannot seek. */
  readonly position: number;
  /** Closes the source in any state; never waits for a read that hangs. */
  close(): Promise<void>;
}

/** A source before it is read. */
export interface PreparedSource {
  readonly name?: string;
  readonly contentType?: string;
  /** Set for a stream; keeps its bytes until {@link StreamWindow.acknowledge}. */
  readonly window?: StreamWindow;
  /** Size in bytes, if it is known before the source is opened. */
  size(): Promise<number | undefined>;
  /** True if the bytes can be read from this offset. */
  canOpen(offset: number): boolean;
  open(offset: number): Promise<OpenedSource>;
  /** Closes a source that will not be read, opened or not. */
  discard?(): Promise<void>;
}
