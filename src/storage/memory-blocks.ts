/** Size of a block of a quick upload, in bytes. */
export const BLOCK_BYTES = 1024 * 1024;

/** Size of a block of a slow upload, in bytes. */
export const SMALL_BLOCK_BYTES = 64 * 1024;

/**
 * Blocks of each size that are kept for the next part. Enough for one upload at full speed and for the slow callers of
 * a moment; more are made when many come at once, and let go.
 */
const MAX_KEPT: ReadonlyMap<number, number> = new Map([
  [BLOCK_BYTES, 40],
  [SMALL_BLOCK_BYTES, 128],
]);

/** Time after which blocks that nobody has asked for are let go, in milliseconds. */
const IDLE_MS = 5_000;

/**
 * Memory for parts that is used again. The chunks of a part would live long enough to survive several rounds of the
 * garbage collector, which then takes a third of the CPU time of a large upload, and as much memory as the parts
 * themselves. Copied into blocks they are gone at once.
 */
export class MemoryBlocks {
  readonly #kept = new Map<number, Buffer[]>();
  #isUsed = false;
  #timer: NodeJS.Timeout | undefined;

  /** A block of so many bytes, with any content. */
  take(sizeBytes: number): Buffer {
    this.#isUsed = true;
    return this.#kept.get(sizeBytes)?.pop() ?? Buffer.allocUnsafeSlow(sizeBytes);
  }

  /** Takes back a block that nobody will look at any more. */
  giveBack(block: Buffer): void {
    const most = MAX_KEPT.get(block.length);
    if (most === undefined) return;
    const kept = this.#kept.get(block.length) ?? [];
    if (kept.length === most) return;
    kept.push(block);
    this.#kept.set(block.length, kept);
    this.#timer ??= setInterval(() => this.#letGo(), IDLE_MS).unref();
  }

  #letGo(): void {
    if (!this.#isUsed) {
      this.#kept.clear();
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    this.#isUsed = false;
  }
}
