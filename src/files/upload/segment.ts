/** Where the bytes of a slow part can lie in the store until it is sent. */
export interface SpareBlob {
  readonly key: string;
  /** Removes the blob, if it was written, and gives the key back; `mayArrive` says that it may yet be written. Never rejects. */
  remove(mayArrive?: boolean): Promise<void>;
}

/** Memory that is filled from its start. */
export interface Block {
  readonly memory: Uint8Array;
  used: number;
  /** True if the memory may be used again. */
  readonly isOwn: boolean;
}

/** A stretch of a part: in memory, or in a blob. */
export interface Segment {
  sizeBytes: number;
  crc32c: number;
  /** Where the bytes lie in memory; empty for a blob. */
  blocks: Block[];
  /** Memory that was taken for the blocks, in bytes. */
  heldBytes: number;
  /** The blob that the bytes lie in, once they do. */
  blob?: { readonly key: string; remove?(): Promise<void> };
}

/** The bytes of a segment that lies in memory. */
export function chunksOf({ blocks }: Pick<Segment, 'blocks'>): Uint8Array[] {
  return blocks.map(({ memory, used, isOwn }) => (isOwn ? memory.subarray(0, used) : memory));
}

/** Number of bytes in some segments. */
export function sizeOf(segments: readonly Segment[]): number {
  return segments.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
