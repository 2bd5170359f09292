/** Buffers that are kept for the next part. Enough for one upload at full speed; many at once make more and let them go. */
const MAX_KEPT = 5;

/**
 * Memory for parts that is used again and again. The chunks of a part would live long enough to survive several rounds
 * of the garbage collector, which then takes a third of the CPU time of a large upload, and as much memory as
 * the parts themselves. Copied into a buffer they are gone at once.
 */
export class PartBuffers {
  #kept: Buffer[] = [];

  /** A buffer of this size, with anything in it. */
  take(sizeBytes: number): Buffer {
    // One size at a time: that of the parts of all files but the very largest.
    const kept = this.#kept.pop();
    return kept?.length === sizeBytes ? kept : Buffer.allocUnsafeSlow(sizeBytes);
  }

  /** Takes a buffer back that nobody will look at any more. */
  giveBack(buffer: Buffer): void {
    if (this.#kept.length < MAX_KEPT) this.#kept.push(buffer);
  }
}
