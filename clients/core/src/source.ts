import type { StreamWindow } from './stream-window.ts';

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
