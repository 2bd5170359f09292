import { Code, ConnectError } from '@connectrpc/connect';
import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { discardRest } from '../listener/lingering-close.ts';
import { framed, FrameParser, prefixOf } from './frames.ts';

/** Messages above this size are not copied behind their prefix. */
const MAX_COPIED_BYTES = 16 * 1024;

interface Waiter<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (reason: Error) => void;
}

/**
 * One gRPC call on its HTTP/2 stream: reads messages on demand and writes them as fast as the caller reads. The
 * stream is paused while nobody reads, so that no more arrives than its window allows.
 */
export class GrpcStream {
  readonly #stream: ServerHttp2Stream;
  readonly #parser: FrameParser;
  readonly #abort = new AbortController();
  #isPaused = false;
  #hasEnded = false;
  #isStopped = false;
  #isAnswered = false;
  /** Why nothing more can be read. */
  #failure: Error | undefined;
  #reader: Waiter<Buffer | undefined> | undefined;
  #writer: Waiter<void> | undefined;
  #hold: { set(bytes: number): void } | undefined;

  /** @param maxBytes - maximum length of a request message */
  constructor(stream: ServerHttp2Stream, maxBytes: number) {
    this.#stream = stream;
    this.#parser = new FrameParser(maxBytes);
    stream.on('data', (chunk: Buffer) => this.#onData(chunk));
    stream.on('end', () => this.#onEnd());
    stream.on('drain', () => this.#settleWriter());
    // The close code of the stream tells the cause.
    stream.on('error', () => undefined);
    stream.on('close', () => this.#onClose());
    // The stream may be reset before anybody sees it.
    if (stream.closed) this.#onClose();
  }

  /** Aborted when the caller disconnects or the deadline passes; not when the call ends normally. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /**
   * Reports the number of bytes of the incomplete message to `hold` whenever it changes. An error of `hold` ends
   * reading.
   */
  holdBy(hold: { set(bytes: number): void }): void {
    this.#hold = hold;
  }

  /** Ends reading and writing with `reason`. */
  abort(reason: Error): void {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort(reason);
    this.#fail(reason);
    this.#writer?.reject(reason);
    this.#writer = undefined;
  }

  /**
   * Reads the next message; one call at a time. Undefined after the last.
   *
   * @throws ConnectError if the caller breaks the protocol or disconnects, or the deadline passes
   */
  read(): Promise<Buffer | undefined> {
    if (this.#isStopped) return Promise.resolve(undefined);
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
      this.#serveReader();
      if (this.#reader === undefined || !this.#isPaused) return;
      this.#isPaused = false;
      this.#stream.resume();
    });
  }

  /** Stops reading; a pending read gets no message. */
  stop(): void {
    this.#isStopped = true;
    this.#hold?.set(0);
    this.#pause();
    this.#settleReader(undefined);
  }

  /** True if the response headers were sent. */
  get hasResponded(): boolean {
    return this.#stream.headersSent;
  }

  /** Sends the response headers. */
  respond(headers: OutgoingHttpHeaders): void {
    if (!this.#stream.destroyed) this.#stream.respond(headers, { waitForTrailers: true });
  }

  /** Sends a response with headers only. */
  respondAndEnd(headers: OutgoingHttpHeaders): void {
    this.#isAnswered = true;
    if (this.#stream.destroyed) return;
    this.#stream.respond(headers, { endStream: true });
    this.#letGo();
  }

  /**
   * Sends a message and waits until there is room for another.
   *
   * @throws ConnectError if the caller disconnects or the deadline passes
   */
  async write(message: Uint8Array): Promise<void> {
    this.#abort.signal.throwIfAborted();
    if (this.#put(message)) return;
    await new Promise<void>((resolve, reject) => {
      this.#writer = { resolve, reject };
    });
  }

  /** Sends the last message, if any, and the trailers. */
  end(trailers: OutgoingHttpHeaders, message?: Uint8Array): void {
    const stream = this.#stream;
    this.#isAnswered = true;
    if (stream.destroyed) return;
    stream.on('wantTrailers', () => {
      try {
        stream.sendTrailers(trailers);
      } catch {
        this.break();
      }
    });
    if (message !== undefined) this.#put(message);
    stream.end();
    this.#letGo();
  }

  /** Ends a call that cannot be answered. */
  break(): void {
    this.#isAnswered = true;
    this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }

  #put(message: Uint8Array): boolean {
    const stream = this.#stream;
    if (message.length <= MAX_COPIED_BYTES) return stream.write(framed(message));
    stream.cork();
    stream.write(prefixOf(message.length));
    const hasRoom = stream.write(message);
    stream.uncork();
    return hasRoom;
  }

  /** Reads no more of a request that was answered before its end. */
  #letGo(): void {
    if (this.#hasEnded) return;
    this.stop();
    discardRest(this.#stream);
  }

  #onData(chunk: Buffer): void {
    if (this.#isStopped || this.#failure !== undefined) return;
    this.#parser.push(chunk);
    if (this.#reader !== undefined) this.#serveReader();
    if (this.#parser.hasRest) this.#pause();
    try {
      this.#hold?.set(this.#failure === undefined ? this.#parser.heldBytes : 0);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #onEnd(): void {
    // Node.js ends a reset stream as if it were complete.
    if (this.#stream.closed) return this.#onClose();
    this.#hasEnded = true;
    if (this.#reader !== undefined) this.#serveReader();
  }

  #onClose(): void {
    this.#hold?.set(0);
    if (this.#isAnswered) return;
    this.abort(new ConnectError('the caller closed the stream', Code.Canceled));
  }

  /** Gives a pending read the next message, the failure, or the end. */
  #serveReader(): void {
    if (this.#failure !== undefined) return this.#fail(this.#failure);
    try {
      const message = this.#parser.take();
      if (message !== undefined) return this.#settleReader(message);
    } catch (error) {
      return this.#fail(error as Error);
    }
    if (!this.#hasEnded) return;
    if (!this.#parser.isWithinMessage) return this.#settleReader(undefined);
    this.#fail(new ConnectError('the stream ended in the middle of a message', Code.InvalidArgument));
  }

  #pause(): void {
    if (!this.#isPaused) this.#stream.pause();
    this.#isPaused = true;
  }

  #fail(reason: Error): void {
    this.#failure ??= reason;
    this.#pause();
    this.#reader?.reject(this.#failure);
    this.#reader = undefined;
  }

  #settleReader(message: Buffer | undefined): void {
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.resolve(message);
  }

  #settleWriter(): void {
    const writer = this.#writer;
    this.#writer = undefined;
    writer?.resolve();
  }
}
