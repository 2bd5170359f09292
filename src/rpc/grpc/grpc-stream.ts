import { Code, ConnectError } from '@connectrpc/connect';
import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { framed, FrameParser, prefixOf } from './frames.ts';

/** A longer message is not copied behind its prefix. */
const MAX_COPIED_BYTES = 16 * 1024;

/** Time in which a caller whose request was not read to its end may end it by itself. */
const LINGER_MS = 1_000;

interface Waiter<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (reason: Error) => void;
}

/**
 * One gRPC call on its HTTP/2 stream: messages in, as they are asked for, and messages out, as the caller takes
 * them. While nobody asks, the stream is paused, so that no more comes in than its window allows.
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

  /**
   * @param maxBytes - greatest length of a message that is read
   */
  constructor(stream: ServerHttp2Stream, maxBytes: number) {
    this.#stream = stream;
    this.#parser = new FrameParser(maxBytes);
    stream.on('data', (chunk: Buffer) => this.#onData(chunk));
    stream.on('end', () => this.#onEnd());
    stream.on('drain', () => this.#settleWriter());
    // What it was is told by the code that the stream closes with.
    stream.on('error', () => undefined);
    stream.on('close', () => this.#onClose());
    // A stream may be reset before it is shown to anybody.
    if (stream.closed) this.#onClose();
  }

  /** Is aborted when the caller is gone or the deadline has passed; not when the call just ends. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /**
   * Tells `hold` how many bytes of a message that is not whole lie here, whenever that changes. What it throws ends reading.
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
   * Reads the next message; one at a time. Undefined after the last.
   *
   * @throws ConnectError if the caller breaks the protocol or is gone, or the deadline has passed
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

  /** Reads no more: who waits for a message gets none. */
  stop(): void {
    this.#isStopped = true;
    this.#hold?.set(0);
    this.#pause();
    this.#settleReader(undefined);
  }

  /** True if the headers of the answer are sent. */
  get hasResponded(): boolean {
    return this.#stream.headersSent;
  }

  /** Sends the headers of the answer. */
  respond(headers: OutgoingHttpHeaders): void {
    if (!this.#stream.destroyed) this.#stream.respond(headers, { waitForTrailers: true });
  }

  /** Sends an answer that has headers alone. */
  respondAndEnd(headers: OutgoingHttpHeaders): void {
    this.#isAnswered = true;
    if (this.#stream.destroyed) return;
    this.#stream.respond(headers, { endStream: true });
    this.#letGo();
  }

  /**
   * Sends a message and waits until there is room for another.
   *
   * @throws ConnectError if the caller is gone or the deadline has passed
   */
  async write(message: Uint8Array): Promise<void> {
    this.#abort.signal.throwIfAborted();
    if (this.#put(message)) return;
    await new Promise<void>((resolve, reject) => {
      this.#writer = { resolve, reject };
    });
  }

  /** Sends the last message, where there is one, and then the trailers. */
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

  /** Ends a call that cannot even be answered. */
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

  /**
   * Throws away what still comes after the answer, and soon tells a caller who goes on sending to stop (RFC 9113,
   * section 8.1). Not at once: clients lose an answer that is followed by the end of its stream so closely.
   */
  #letGo(): void {
    if (this.#hasEnded) return;
    this.stop();
    const stream = this.#stream;
    stream.resume();
    const timer = setTimeout(() => stream.close(constants.NGHTTP2_NO_ERROR), LINGER_MS);
    stream.once('close', () => clearTimeout(timer));
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
    // Node ends a stream that was reset as if all had come.
    if (this.#stream.closed) return this.#onClose();
    this.#hasEnded = true;
    if (this.#reader !== undefined) this.#serveReader();
  }

  #onClose(): void {
    this.#hold?.set(0);
    if (this.#isAnswered) return;
    this.abort(new ConnectError('the caller closed the stream', Code.Canceled));
  }

  /** Gives whoever reads what there is to give: a message, the failure, or the end. */
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
