import { Code, ConnectError } from '@connectrpc/connect';

/** A message follows a byte that says whether it is compressed, and four that say its length. */
const PREFIX_BYTES = 5;
const COMPRESSED = 1;

/** Cuts bytes that come in chunks of any size into the messages of a gRPC stream. */
export class FrameParser {
  readonly #maxBytes: number;
  /** What has come and is not looked at yet. */
  #chunk: Buffer | undefined;
  #at = 0;
  #prefixBytes = 0;
  #flags = 0;
  #length = 0;
  /** The message that is coming in. It has memory of its own, so no chunk is kept alive by it. */
  #message: Buffer | undefined;
  #filled = 0;

  /** @param maxBytes - greatest length of a message */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** True if a message has begun and is not whole. */
  get isWithinMessage(): boolean {
    return this.#prefixBytes > 0;
  }

  /** True if bytes of what was pushed are left, and so perhaps more messages. */
  get hasRest(): boolean {
    return this.#chunk !== undefined;
  }

  /** Bytes of the message that has begun and is not whole. */
  get heldBytes(): number {
    return this.#filled;
  }

  /** Brings the next chunk. */
  push(chunk: Buffer): void {
    this.#chunk = this.#chunk === undefined ? chunk : Buffer.concat([this.#chunk.subarray(this.#at), chunk]);
    this.#at = 0;
  }

  /**
   * Takes the next message, if it is whole.
   *
   * @throws ConnectError RESOURCE_EXHAUSTED if it is too long, INTERNAL if it is compressed: calls with an encoding do
   *   not come here
   */
  take(): Buffer | undefined {
    while (this.#chunk !== undefined) {
      this.#message ??= this.#begin(this.#chunk);
      const message = this.#message;
      if (message !== undefined) {
        const copied = this.#chunk.copy(message, this.#filled, this.#at);
        this.#filled += copied;
        this.#at += copied;
      }
      if (this.#at === this.#chunk.length) this.#chunk = undefined;
      if (message !== undefined && this.#filled === message.length) {
        this.#message = undefined;
        this.#prefixBytes = 0;
        this.#filled = 0;
        return message;
      }
    }
    return undefined;
  }

  /** Reads the prefix as far as it has come. */
  #begin(chunk: Buffer): Buffer | undefined {
    while (this.#prefixBytes < PREFIX_BYTES && this.#at < chunk.length) {
      const byte = chunk[this.#at++]!;
      if (this.#prefixBytes === 0) this.#flags = byte;
      else this.#length = this.#length * 256 + byte;
      this.#prefixBytes++;
    }
    if (this.#prefixBytes < PREFIX_BYTES) return undefined;
    const length = this.#length;
    this.#length = 0;
    this.#filled = 0;
    if (this.#flags === COMPRESSED) {
      throw new ConnectError('a message is compressed, but grpc-encoding names no encoding', Code.Internal);
    }
    if (this.#flags !== 0) {
      throw new ConnectError(
        `a message begins with ${this.#flags}, and only 0 and 1 are known`,
        Code.Internal,
      );
    }
    if (length > this.#maxBytes) {
      throw new ConnectError(
        `a message has ${length} bytes, more than readMaxBytes ${this.#maxBytes}`,
        Code.ResourceExhausted,
      );
    }
    // Not filled with zeros: memory that was promised and not sent costs nothing.
    return Buffer.allocUnsafe(length);
  }
}

/** The bytes that come before a message of so many. */
export function prefixOf(length: number): Buffer {
  const prefix = Buffer.allocUnsafe(PREFIX_BYTES);
  prefix[0] = 0;
  prefix.writeUInt32BE(length, 1);
  return prefix;
}

/** A short message with its prefix. */
export function framed(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, PREFIX_BYTES);
  return frame;
}
