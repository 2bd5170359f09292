import { combineCrc32c } from './crc32c.ts';
import type { BlobBody } from '../../storage/blob.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import { BLOCK_BYTES } from '../../storage/memory-blocks.ts';
import type { MemoryShare, PartMemory } from '../../storage/memory-share.ts';
import type { Chunk } from './chunk.ts';
import { Pace } from './pace.ts';
import { chunksOf, sizeOf, type Block, type Segment, type SpareBlob } from './segment.ts';

/** A shorter chunk is copied: as an object of its own it would take much more memory than it has bytes. */
const MIN_KEPT_BYTES = 4096;

/** How long it may take to put a part away, in milliseconds. */
const PUT_AWAY_TIMEOUT_MS = 30_000;

const OCTETS = { contentType: 'application/octet-stream' };

/** What a part is made of and with. */
export interface OpenPartOptions {
  readonly store: BlobStore;
  readonly memory: MemoryShare;
  /** Size of a whole part, in bytes. */
  readonly partSizeBytes: number;
  /** Number of bytes that are still to come of the file, where that is known; else Infinity. */
  readonly restBytes: number;
  /** True if the part will certainly be filled, so that its bytes are worth copying together. */
  readonly isWhole: boolean;
  /** True if the caller filled the part before this one quickly. */
  readonly isQuick: boolean;
  /** Blobs that the part begins with; they are left alone when the part is dropped. */
  readonly tail?: readonly { readonly key: string; readonly sizeBytes: number; readonly crc32c: number }[];
  /** Finds a place for bytes that others need the memory of. Without one the part stays in memory. */
  readonly spare?: (() => Promise<SpareBlob>) | undefined;
}

/**
 * The part of an upload that is being filled. Its memory grows with what its caller sends: at once for a quick caller, by
 * 64 KiB for a slow one. What a slow caller has sent goes into blobs of its own when others need the memory.
 */
export class OpenPart {
  readonly #options: OpenPartOptions;
  readonly #memory: PartMemory;
  readonly #segments: Segment[];
  readonly #tailBytes: number;
  #sizeBytes: number;
  /** Memory that was taken and has no bytes yet. */
  #credit = 0;
  /** The block that is being filled, which is the last of the last segment. */
  #block: Block | undefined;
  readonly #pace: Pace;
  #isSealed = false;
  #puttingAway: Promise<void> | undefined;

  constructor(options: OpenPartOptions) {
    this.#options = options;
    this.#segments = (options.tail ?? []).map(({ key, sizeBytes, crc32c }) => ({
      ...{ sizeBytes, crc32c, blocks: [], heldBytes: 0, blob: { key } },
    }));
    this.#tailBytes = sizeOf(this.#segments);
    this.#sizeBytes = this.#tailBytes;
    this.#pace = new Pace(options.isQuick);
    this.#memory = options.memory.open(options.spare && (() => this.#putAway()));
  }

  /** Number of its bytes, those of the tail included. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Number of bytes that were added. */
  get addedBytes(): number {
    return this.#sizeBytes - this.#tailBytes;
  }

  /** Number of bytes that still fit. */
  get room(): number {
    return this.#options.partSizeBytes - this.#sizeBytes;
  }

  /** How quick its caller is. */
  get pace(): Pace {
    return this.#pace;
  }

  /** Takes memory for what comes next before it is asked for: an upload that waits for memory holds nothing else. */
  async prepare(signal: AbortSignal): Promise<void> {
    if (this.#free === 0) await this.#grow(signal);
  }

  /** Adds bytes, at most {@link room}. Waits for memory if they need more than was prepared. */
  async add({ bytes, crc32c }: Chunk, signal: AbortSignal): Promise<void> {
    const { isWhole, restBytes } = this.#options;
    const keeps = !isWhole && (bytes.length >= MIN_KEPT_BYTES || bytes.length === restBytes);
    while ((keeps ? this.#credit : this.#free) < bytes.length && (await this.#grow(signal)) > 0);
    // From here on nothing is waited for, so all of the bytes go into one segment.
    const segment = this.#openSegment();
    if (keeps) {
      this.#block = undefined;
      this.#hold(segment, { memory: bytes, used: bytes.length, isOwn: false });
    } else {
      for (let rest = bytes; rest.length > 0;) {
        this.#block ??= this.#newBlock(segment, rest.length);
        const { memory, used } = this.#block;
        const part = rest.subarray(0, memory.length - used);
        memory.set(part, used);
        this.#block.used += part.length;
        if (this.#block.used === memory.length) this.#block = undefined;
        rest = rest.subarray(part.length);
      }
    }
    segment.crc32c = combineCrc32c(segment.crc32c, crc32c, bytes.length);
    segment.sizeBytes += bytes.length;
    this.#sizeBytes += bytes.length;
  }

  /** Takes no more bytes. Its memory will come back by itself from here on. */
  async seal(): Promise<void> {
    this.#isSealed = true;
    await this.#puttingAway?.catch(() => undefined);
    this.#memory.settle();
    this.#giveCreditBack();
  }

  /**
   * Its bytes as a body, without those of its tail if `added`. One that lies in blobs is read from them again for each
   * body, so it can be sent again, and takes no memory.
   */
  body({ added = false, signal }: { added?: boolean; signal?: AbortSignal } = {}): BlobBody & {
    readonly crc32c: number;
  } {
    const segments = added ? this.#segments.slice(this.#options.tail?.length ?? 0) : this.#segments;
    const crc32c = segments.reduce((all, one) => combineCrc32c(all, one.crc32c, one.sizeBytes), 0);
    const isInMemory = segments.every(({ blob }) => blob === undefined);
    const chunks = isInMemory ? segments.flatMap(chunksOf) : this.#read(segments, signal);
    return { sizeBytes: sizeOf(segments), crc32c, chunks };
  }

  /** Gives its memory back, and the blobs that it was put away into. With `isStored` nobody looks at its bytes any more. */
  async drop(isStored: boolean): Promise<void> {
    this.#isSealed = true;
    await this.#puttingAway?.catch(() => undefined);
    if (isStored) for (const segment of this.#segments) this.#reuse(segment);
    this.#memory.close();
    await Promise.all(this.#segments.map(async ({ blob }) => blob?.remove?.()));
  }

  /** Bytes that can be added without asking for more memory. */
  get #free(): number {
    return this.#credit + (this.#block ? this.#block.memory.length - this.#block.used : 0);
  }

  async #grow(signal: AbortSignal): Promise<number> {
    const taken = await this.#memory.take(this.#step(), signal);
    this.#credit += taken;
    return taken;
  }

  #step(): number {
    const { restBytes, isWhole } = this.#options;
    return this.#pace.step({
      hasBytes: this.addedBytes + this.#free,
      leftBytes: Math.min(this.room, restBytes - this.addedBytes) - this.#free,
      isKnown: isWhole || restBytes !== Infinity,
    });
  }

  #openSegment(): Segment {
    const last = this.#segments.at(-1);
    if (last && last.blob === undefined && this.#puttingAway === undefined) return last;
    const segment: Segment = { sizeBytes: 0, crc32c: 0, blocks: [], heldBytes: 0 };
    this.#segments.push(segment);
    return segment;
  }

  #newBlock(segment: Segment, atLeast: number): Block {
    const size = Math.min(BLOCK_BYTES, Math.max(this.#credit, Math.min(atLeast, this.room)));
    return this.#hold(segment, { memory: this.#options.memory.blocks.take(size), used: 0, isOwn: true });
  }

  #hold(segment: Segment, block: Block): Block {
    segment.blocks.push(block);
    const heldBytes = Math.min(block.memory.length, this.#credit);
    segment.heldBytes += heldBytes;
    this.#credit -= heldBytes;
    return block;
  }

  #giveCreditBack(): void {
    this.#memory.giveBack(this.#credit);
    this.#credit = 0;
  }

  /** Writes what lies in memory into a blob. What comes meanwhile goes behind it. */
  #putAway(): Promise<void> {
    this.#giveCreditBack();
    const segment = this.#segments.findLast(({ blob, sizeBytes }) => blob === undefined && sizeBytes > 0);
    if (segment === undefined || this.#isSealed) return Promise.resolve();
    this.#pace.wasPutAway();
    this.#block = undefined;
    this.#puttingAway = this.#write(segment).finally(() => (this.#puttingAway = undefined));
    return this.#puttingAway;
  }

  async #write(segment: Segment): Promise<void> {
    const { sizeBytes, crc32c } = segment;
    const blob = await this.#options.spare!();
    const body = { sizeBytes, crc32c, chunks: chunksOf(segment) };
    const call = { signal: AbortSignal.timeout(PUT_AWAY_TIMEOUT_MS) };
    try {
      await this.#options.store.put(blob.key, body, OCTETS, call);
    } catch (error) {
      await blob.remove(true);
      throw error;
    }
    segment.blob = blob;
    this.#reuse(segment);
    this.#memory.giveBack(segment.heldBytes);
    segment.heldBytes = 0;
  }

  #reuse(segment: Segment): void {
    for (const { memory, isOwn } of segment.blocks) {
      if (isOwn) this.#options.memory.blocks.giveBack(memory as Buffer);
    }
    segment.blocks = [];
  }

  async *#read(segments: readonly Segment[], signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    for (const segment of segments) {
      if (segment.blob === undefined) yield* chunksOf(segment);
      else yield* await this.#options.store.read(segment.blob.key, undefined, { ...(signal && { signal }) });
    }
  }
}
