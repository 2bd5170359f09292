import { setTimeout as sleep } from 'node:timers/promises';
import { combineCrc32c } from './crc32c.ts';
import { isAssetError } from '../../errors/asset-error.ts';
import type { BlobBody } from '../../storage/blob.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import type { MemoryShare, PartMemory } from '../../storage/memory-share.ts';
import type { SpareBlob } from '../bytes.ts';
import type { Chunk } from './checksums.ts';
import { Pace } from './pace.ts';
import { Segment } from './segment.ts';

/** A shorter chunk is copied: as an object of its own it would take much more memory than it has bytes. */
const MIN_KEPT_BYTES = 4096;

/** Time limit of moving a part to the store, in milliseconds. */
const PUT_AWAY_TIMEOUT_MS = 30_000;

/** How often a body that is read from blobs is sent. The store itself repeats bodies in memory. */
const ATTEMPTS = 3;
const RETRY_MS = 250;

/** Properties of a blob that is part of a file. */
export const OCTETS = { contentType: 'application/octet-stream' };

/** The bytes of a part, as a store takes them. */
export type PartBody = BlobBody & { readonly crc32c: number };

/** Which bytes of a part to send, and until when. */
export interface Sending {
  readonly signal: AbortSignal;
  /** Index of the first blob of the tail to include; default the first of all. */
  readonly fromTail?: number;
}

/** What a part is made of. */
export interface OpenPartOptions {
  readonly store: BlobStore;
  readonly memory: MemoryShare;
  /** Size of a whole part, in bytes. */
  readonly partSizeBytes: number;
  /** Number of bytes of the file that are still to come; Infinity if unknown. */
  readonly restBytes: number;
  /** True if the part will certainly be filled, so that copying its bytes together pays. */
  readonly isWhole: boolean;
  /** True if the caller filled the part before this one quickly. */
  readonly isQuick: boolean;
  /** Blobs that the part begins with. They stay when the part is dropped. */
  readonly tail?: readonly { readonly key: string; readonly sizeBytes: number; readonly crc32c: number }[];
  /** Reserves a blob for bytes whose memory others need. Without it the part stays in memory. */
  readonly spare?: (() => Promise<SpareBlob>) | undefined;
}

/**
 * The part of an upload that is being filled. It takes memory as its caller sends: all at once for a quick caller, 64 KiB
 * at a time for a slow one. When others need the memory, it moves its bytes into blobs.
 */
export class OpenPart {
  readonly #options: OpenPartOptions;
  readonly #memory: PartMemory;
  readonly #segments: Segment[];
  /** Blobs that the part was moved to. */
  readonly #spares: SpareBlob[] = [];
  readonly #tailBytes: number;
  #sizeBytes: number;
  /** Memory that was taken and has no bytes yet. */
  #credit = 0;
  /** How quick the caller is. */
  readonly pace: Pace;
  #isSealed = false;
  /** The segment that is being moved into a blob. */
  #moving: { readonly segment: Segment; readonly done: Promise<void> } | undefined;

  constructor(options: OpenPartOptions) {
    this.#options = options;
    this.#segments = (options.tail ?? []).map((blob) => new Segment(options.memory.blocks, blob));
    this.#tailBytes = this.#segments.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    this.#sizeBytes = this.#tailBytes;
    this.pace = new Pace(options.isQuick);
    this.#memory = options.memory.open(options.spare && (() => this.#putAway()));
  }

  /** Number of its bytes, the tail included. */
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

  /** Takes memory for the next bytes before they are asked for: an upload that waits for memory holds nothing else. */
  async prepare(signal: AbortSignal): Promise<void> {
    if (this.#free === 0) await this.#grow(signal);
  }

  /** Adds bytes, at most {@link room}. Waits for memory if they need more than was prepared. */
  async add(chunk: Chunk, signal: AbortSignal): Promise<void> {
    const { isWhole, restBytes } = this.#options;
    const { length } = chunk.bytes;
    // Chunks of slow callers would live long enough to become work of the garbage collector, which stops everybody.
    const keeps = !isWhole && !this.pace.isSlow && (length >= MIN_KEPT_BYTES || length === restBytes);
    while ((keeps ? this.#credit : this.#free) < length && (await this.#grow(signal)) > 0);
    // Nothing is awaited from here on, so all of the bytes go into one segment.
    const segment = this.#openSegment();
    this.#credit -= keeps ? segment.keep(chunk, this.#credit) : segment.copy(chunk, this.#credit, this.room);
    this.#sizeBytes += length;
  }

  /**
   * Its bytes as a body. One that is in blobs reads them again for each body, so it can be sent again, and needs no
   * memory.
   */
  body({ signal, fromTail = 0 }: Sending): PartBody {
    const segments = this.#segments.slice(fromTail);
    const sizeBytes = segments.reduce((sum, one) => sum + one.sizeBytes, 0);
    const crc32c = segments.reduce((all, one) => combineCrc32c(all, one.crc32c, one.sizeBytes), 0);
    const isInMemory = segments.every(({ blobKey }) => blobKey === undefined);
    const chunks = isInMemory ? segments.flatMap(({ body }) => body.chunks) : this.#read(segments, signal);
    return { sizeBytes, crc32c, chunks };
  }

  /**
   * Sends its bytes; it takes no more then. Repeats a body that is read from blobs while the store fails, and allows only
   * a few such at once.
   */
  async send<T>(how: Sending, send: (body: PartBody) => Promise<T>): Promise<T> {
    await this.#seal();
    this.#memory.settle();
    this.#giveCreditBack();
    const first = this.body(how);
    if (Array.isArray(first.chunks)) return send(first);
    return this.#options.memory.rereads(async () => {
      for (let attempt = 1; ; attempt++) {
        try {
          return await send(this.body(how));
        } catch (error) {
          const isOver = attempt === ATTEMPTS || how.signal.aborted;
          if (isOver || !isAssetError(error, 'STORE_UNAVAILABLE')) throw error;
          await sleep(RETRY_MS * attempt);
        }
      }
    });
  }

  /** Gives back its memory and the blobs that it was moved to. `isStored`: nobody looks at its bytes any more. */
  async drop(isStored: boolean): Promise<void> {
    await this.#seal();
    if (isStored) for (const segment of this.#segments) segment.reuse();
    this.#memory.close();
    await Promise.all(this.#spares.map((spare) => spare.remove()));
  }

  async #seal(): Promise<void> {
    this.#isSealed = true;
    await this.#moving?.done.catch(() => undefined);
  }

  /** Bytes that can be added without asking for more memory. */
  get #free(): number {
    return this.#credit + (this.#lastInMemory?.freeBytes ?? 0);
  }

  async #grow(signal: AbortSignal): Promise<number> {
    const { restBytes, isWhole } = this.#options;
    const step = this.pace.step({
      hasBytes: this.addedBytes + this.#free,
      leftBytes: Math.min(this.room, restBytes - this.addedBytes) - this.#free,
      isKnown: isWhole || restBytes !== Infinity,
    });
    const taken = await this.#memory.take(step, signal);
    this.#credit += taken;
    return taken;
  }

  /** The segment that bytes can be added to, if there is one. */
  get #lastInMemory(): Segment | undefined {
    const last = this.#segments.at(-1);
    return last?.blobKey === undefined && last !== this.#moving?.segment ? last : undefined;
  }

  #openSegment(): Segment {
    if (this.#lastInMemory) return this.#lastInMemory;
    const segment = new Segment(this.#options.memory.blocks);
    this.#segments.push(segment);
    return segment;
  }

  #giveCreditBack(): void {
    this.#memory.giveBack(this.#credit);
    this.#credit = 0;
  }

  /** Moves what is in memory into a blob. What comes meanwhile goes behind it. */
  #putAway(): Promise<void> {
    this.#giveCreditBack();
    const segment = this.#segments.findLast(
      ({ blobKey, sizeBytes }) => blobKey === undefined && sizeBytes > 0,
    );
    if (segment === undefined || this.#isSealed) return Promise.resolve();
    this.pace.wasPutAway();
    const done = this.#write(segment).finally(() => (this.#moving = undefined));
    this.#moving = { segment, done };
    return done;
  }

  async #write(segment: Segment): Promise<void> {
    const spare = await this.#options.spare!();
    try {
      const call = { signal: AbortSignal.timeout(PUT_AWAY_TIMEOUT_MS) };
      await this.#options.store.put(spare.key, segment.body, OCTETS, call);
    } catch (error) {
      await spare.remove(true);
      throw error;
    }
    this.#spares.push(spare);
    this.#memory.giveBack(segment.moveTo(spare.key));
  }

  async *#read(segments: readonly Segment[], signal: AbortSignal): AsyncGenerator<Uint8Array> {
    for (const { blobKey, body } of segments) {
      if (blobKey === undefined) yield* body.chunks;
      else yield* await this.#options.store.read(blobKey, undefined, { signal });
    }
  }
}
