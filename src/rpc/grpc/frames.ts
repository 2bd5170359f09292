import { Code, ConnectError } from '@connectrpc/connect';

/** The prefix of a message: one byte compression flag, four bytes length. */
const PREFIX_BYTES = 5;
const COMPRESSED = 1;

/** Splits chunks of any size into the messages of a gRPC stream. */
export class FrameParser {
  readonly #maxBytes: number;
  /** Received bytes that are not parsed yet. */
  #chunk: Buffer | undefined;
  #at = 0;
  #prefixBytes = 0;
  #flags = 0;
  #length = 0;
  /** The incomplete message. It is a copy, so that it keeps no chunk alive. */
  #message: Buffer | undefined;
  #filled = 0;

  /** @param maxBytes - maximum length of a message */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** True if a message is incomplete. */
  get isWithinMessage(): boolean {
    return this.#prefixBytes > 0;
  }

  /** True if pushed bytes are left, and so perhaps more messages. */
  get hasRest(): boolean {
    return this.#chunk !== undefined;
  }

  /** Number of bytes of the incomplete message. */
  get heldBytes(): number {
    return this.#filled;
  }

  /** Adds the next chunk. */
  push(chunk: Buffer): void {
    this.#chunk = this.#chunk === undefined ? chunk : Buffer.concat([this.#chunk.subarray(this.#at), chunk]);
    this.#at = 0;
  }

  /**
   * Returns the next message if it is complete.
   *
   * @throws ConnectError RESOURCE_EXHAUSTED if it is too long, INTERNAL if it is compressed: calls with an encoding
   * are served by Connect
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

  /** Parses the prefix, as far as it has arrived. */
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
    // Not zeroed, so that promised memory without bytes costs nothing.
    return Buffer.allocUnsafe(length);
  }
}

/** The prefix of a message of this length. */
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
