import { combineCrc32c, crc32cOf } from '../../crc32c.ts';
import type { MemoryShare } from '../../storage/memory-budget.ts';
import type { BufferedBody } from '../../storage/part-reader.ts';

/**
 * The part of a resumable upload that is being filled: durable bytes that an earlier call left behind the last whole
 * part, new bytes behind them, and the memory for them.
 */
export class OpenPart {
  readonly #memory: MemoryShare;
  readonly #partSizeBytes: number;
  /** Durable bytes that come before the new ones. */
  readonly tailBytes: number;
  #chunks: Uint8Array[] = [];
  #addedBytes = 0;
  #crc32c = 0;
  #giveBack: (() => void) | undefined;
  #buffer: Buffer | undefined;

  /**
   * @param memory - what the caller may have of the memory for parts
   * @param partSizeBytes - size of a whole part
   * @param tailBytes - durable bytes that the part begins with
   */
  constructor(memory: MemoryShare, partSizeBytes: number, tailBytes: number) {
    this.#memory = memory;
    this.#partSizeBytes = partSizeBytes;
    this.tailBytes = tailBytes;
  }

  /** Number of its bytes, durable and new. */
  get sizeBytes(): number {
    return this.tailBytes + this.#addedBytes;
  }

  /** Number of bytes that still fit. */
  get room(): number {
    return this.#partSizeBytes - this.sizeBytes;
  }

  /** The new bytes. */
  get added(): BufferedBody {
    return { sizeBytes: this.#addedBytes, chunks: this.#chunks, crc32c: this.#crc32c };
  }

  /** What new bytes are to be read into; where there is none, they stay where they came. */
  get buffer(): Buffer | undefined {
    return this.#buffer;
  }

  /** Waits until there is memory for this many bytes. Rejects as the signal says. */
  async reserve(sizeBytes: number, signal: AbortSignal): Promise<void> {
    this.#giveBack ??= await this.#memory.reserve(sizeBytes, signal);
  }

  /** Takes a buffer for what fits, since the part will be filled. */
  takeBuffer(): void {
    this.#buffer ??= this.#memory.buffers.take(this.room);
  }

  /** Adds new bytes, at most {@link room}. */
  add(body: BufferedBody): void {
    this.#chunks.push(...body.chunks);
    this.#addedBytes += body.sizeBytes;
    this.#crc32c = combineCrc32c(this.#crc32c, body.crc32c, body.sizeBytes);
  }

  /** All of it as one body, given the bytes of its tail. */
  whole(tail: readonly Uint8Array[]): BufferedBody {
    const tailSum = tail.reduce((sum, chunk) => combineCrc32c(sum, crc32cOf(chunk), chunk.length), 0);
    return {
      sizeBytes: this.sizeBytes,
      chunks: [...tail, ...this.#chunks],
      crc32c: combineCrc32c(tailSum, this.#crc32c, this.#addedBytes),
    };
  }

  /** Lets others have the memory. What still looks at the bytes may go on. */
  release(): void {
    this.#giveBack?.();
    this.#giveBack = undefined;
  }

  /** Lets another part be read into the buffer. Nothing may look at the bytes any more. */
  reuseBuffer(): void {
    if (this.#buffer) this.#memory.buffers.giveBack(this.#buffer);
    this.#buffer = undefined;
  }
}
