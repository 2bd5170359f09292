import { combineCrc32c } from './crc32c.ts';
import type { BlobBody } from '../../storage/blob.ts';
import { BLOCK_BYTES, type MemoryBlocks } from '../../storage/memory-blocks.ts';
import type { Chunk } from './checksums.ts';

/** Memory that is filled from its start. */
interface Block {
  readonly memory: Uint8Array;
  used: number;
  /** True if the memory may be used again. */
  readonly isOwn: boolean;
}

/** A stretch of a part: bytes in memory, or in a blob of the store. */
export class Segment {
  readonly #memory: MemoryBlocks;
  #sizeBytes = 0;
  #crc32c = 0;
  #blocks: Block[] = [];
  #heldBytes = 0;
  #blobKey: string | undefined;

  /** @param blob - the blob that the bytes are in; without one the segment is empty, and in memory */
  constructor(memory: MemoryBlocks, blob?: { key: string; sizeBytes: number; crc32c: number }) {
    this.#memory = memory;
    if (blob === undefined) return;
    [this.#blobKey, this.#sizeBytes, this.#crc32c] = [blob.key, blob.sizeBytes, blob.crc32c];
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** CRC32C of its bytes. */
  get crc32c(): number {
    return this.#crc32c;
  }

  /** Key of the blob that has the bytes; undefined if they are in memory. */
  get blobKey(): string | undefined {
    return this.#blobKey;
  }

  /** Its bytes in memory, as a body. */
  get body(): BlobBody & { readonly chunks: readonly Uint8Array[]; readonly crc32c: number } {
    const chunks = this.#blocks.map(({ memory, used, isOwn }) => (isOwn ? memory.subarray(0, used) : memory));
    return { sizeBytes: this.#sizeBytes, crc32c: this.#crc32c, chunks };
  }

  /** Bytes that fit into its last block. */
  get freeBytes(): number {
    const last = this.#blocks.at(-1);
    return last?.isOwn ? last.memory.length - last.used : 0;
  }

  /**
   * Adds bytes without a copy: the memory of the chunk stays in use.
   *
   * @returns how much of `credit` that takes
   */
  keep({ bytes, crc32c }: Chunk, credit: number): number {
    this.#count(bytes.length, crc32c);
    return this.#hold({ memory: bytes, used: bytes.length, isOwn: false }, credit);
  }

  /**
   * Copies bytes into blocks.
   *
   * @param credit - bytes that new blocks may take without asking
   * @param mostBytes - the most bytes that the segment may still get
   * @returns how much of `credit` new blocks took
   */
  copy({ bytes, crc32c }: Chunk, credit: number, mostBytes: number): number {
    this.#count(bytes.length, crc32c);
    let taken = 0;
    for (let rest = bytes; rest.length > 0;) {
      if (this.freeBytes === 0) {
        const size = Math.min(BLOCK_BYTES, Math.max(credit - taken, Math.min(rest.length, mostBytes)));
        taken += this.#hold({ memory: this.#memory.take(size), used: 0, isOwn: true }, credit - taken);
      }
      const block = this.#blocks.at(-1)!;
      const piece = rest.subarray(0, block.memory.length - block.used);
      block.memory.set(piece, block.used);
      block.used += piece.length;
      rest = rest.subarray(piece.length);
    }
    return taken;
  }

  /** Says that a blob has the bytes now. Returns the number of bytes that this sets free. */
  moveTo(blobKey: string): number {
    this.#blobKey = blobKey;
    this.reuse();
    const held = this.#heldBytes;
    this.#heldBytes = 0;
    return held;
  }

  /** Gives its blocks to the next part. Nobody may look at its bytes any more. */
  reuse(): void {
    for (const { memory, isOwn } of this.#blocks) if (isOwn) this.#memory.giveBack(memory as Buffer);
    this.#blocks = [];
  }

  #count(sizeBytes: number, crc32c: number): void {
    this.#crc32c = combineCrc32c(this.#crc32c, crc32c, sizeBytes);
    this.#sizeBytes += sizeBytes;
  }

  #hold(block: Block, credit: number): number {
    this.#blocks.push(block);
    const taken = Math.min(block.memory.length, credit);
    this.#heldBytes += taken;
    return taken;
  }
}
