/** Size of a block that is used again, in bytes. */
export const BLOCK_BYTES = 1024 * 1024;

/** Blocks that are kept for the next part. Enough for one upload at full speed; many at once make more and let them go. */
const MAX_KEPT = 40;

/** Blocks that nobody has asked for in this time are let go, in milliseconds. */
const IDLE_MS = 5_000;

/**
 * Memory for parts that is used again and again. The chunks of a part would live long enough to survive several rounds
 * of the garbage collector, which then takes a third of the CPU time of a large upload, and as much memory as
 * the parts themselves. Copied into blocks they are gone at once.
 */
export class MemoryBlocks {
  #kept: Buffer[] = [];
  #isUsed = false;
  #timer: NodeJS.Timeout | undefined;

  /** A block of so many bytes, with anything in it. */
  take(sizeBytes: number): Buffer {
    this.#isUsed = true;
    return (sizeBytes === BLOCK_BYTES ? this.#kept.pop() : undefined) ?? Buffer.allocUnsafeSlow(sizeBytes);
  }

  /** Takes a block back that nobody will look at any more. */
  giveBack(block: Buffer): void {
    if (block.length !== BLOCK_BYTES || this.#kept.length === MAX_KEPT) return;
    this.#kept.push(block);
    this.#timer ??= setInterval(() => this.#letGo(), IDLE_MS).unref();
  }

  #letGo(): void {
    if (!this.#isUsed) {
      this.#kept = [];
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    this.#isUsed = false;
  }
}
