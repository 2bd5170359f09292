import pLimit from 'p-limit';
import { MemoryBlocks } from './memory-blocks.ts';
import { isOld, isSettling, isSmall, newPart, partsToPutAway, type Part } from './memory-relief.ts';
import type { MemoryShare, PartMemory } from './memory-share.ts';

/** Time between two looks at who could give memory back, in milliseconds. */
const LOOK_MS = 200;

/** Time for which a part is left alone after it could not be put away, in milliseconds. */
const RETRY_MS = 1_000;

/**
 * Parts that are put away at a time: few while nobody waits, because each takes the process and the store from quick
 * callers for a moment, and slow parts are in no hurry.
 */
const AWAY_AT_ONCE = 2;
const AWAY_AT_ONCE_IF_WAITING = 16;

/** Bodies that are read from the store while they are sent to it, at a time: each takes memory that is not counted. */
const REREADS = 8;

interface Waiter {
  readonly part: Part;
  readonly bytes: number;
  readonly grant: () => void;
}

/**
 * Bounds the bytes that all uploads of the process hold at once: a semaphore counted in bytes. Bytes are charged when they
 * come, so a slow caller is charged for little. Of several holders that wait the one that holds least is served first;
 * of one holder who asks first. An eighth is kept free for small parts that are new.
 *
 * Parts of slow callers are put away into the store when they hold more than half of all memory, and whenever somebody waits
 * for memory that is not about to come back. To be put away needs no memory, so nobody waits for ever.
 */
export class MemoryBudget {
  readonly totalBytes: number;
  /** Greatest number of bytes that one holder has at once. */
  readonly shareBytes: number;
  readonly blocks = new MemoryBlocks();
  readonly rereads = pLimit(REREADS);
  #usedBytes = 0;
  readonly #usedBy = new Map<string, number>();
  readonly #parts = new Set<Part>();
  readonly #waiting = new Set<Waiter>();
  #timer: NodeJS.Timeout | undefined;
  #lookedAt = 0;
  /** Parts that are being put away now. */
  #away = 0;

  /** @param shareBytes - what one holder may have of it; all where left out */
  constructor(totalBytes: number, shareBytes = totalBytes) {
    if (!(totalBytes > 0)) throw new RangeError('a memory budget must be larger than 0');
    this.totalBytes = totalBytes;
    this.shareBytes = Math.min(shareBytes, totalBytes);
  }

  /** Bytes that are given out now. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Requests that wait for bytes now. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Parts of slow callers that hold memory now: they have sent nothing to the store for a second. */
  get slow(): number {
    const now = performance.now();
    return [...this.#parts].filter((part) => isOld(part, now) && !isSettling(part)).length;
  }

  /** What one holder may have of the budget. */
  of(holder: string): MemoryShare {
    return {
      ...{ blocks: this.blocks, rereads: this.rereads },
      open: (putAway) => this.#open(holder, putAway, false),
    };
  }

  /**
   * Waits until `bytes` are free and takes them; the function it resolves with gives them back and may be called more than
   * once. A request for more than a holder may have gets what it may have.
   */
  async reserve(bytes: number, signal?: AbortSignal, holder = ''): Promise<() => void> {
    const memory = this.#open(holder, undefined, true);
    try {
      await memory.take(bytes, signal);
    } catch (error) {
      memory.close();
      throw error;
    }
    return () => memory.close();
  }

  #open(holder: string, putAway: (() => Promise<void>) | undefined, isExempt: boolean): PartMemory {
    const part = newPart(holder, putAway, isExempt);
    this.#parts.add(part);
    return {
      get bytes() {
        return part.bytes;
      },
      take: (bytes, signal) => this.#take(part, bytes, signal),
      giveBack: (bytes) => this.#change(part, -bytes),
      settle: () => {
        part.settled = true;
      },
      close: () => {
        this.#parts.delete(part);
        this.#change(part, -part.bytes);
      },
    };
  }

  async #take(part: Part, wanted: number, signal: AbortSignal | undefined): Promise<number> {
    signal?.throwIfAborted();
    // A part that is larger than what its holder may have goes to the store in pieces.
    if (part.putAway && part.bytes > 0 && part.bytes + wanted > this.#mostOf(part)) {
      await (part.away ?? this.#putAway(part));
    }
    const bytes = Math.max(0, Math.min(wanted, this.#mostOf(part) - part.bytes));
    const mayUseAll = isSmall(part, bytes);
    const isNext = [...this.#waiting].every((other) => mayUseAll && !isSmall(other.part, other.bytes));
    if (isNext && this.#fits(part, bytes)) this.#change(part, bytes);
    else await this.#turn(part, bytes, signal);
    return bytes;
  }

  #turn(part: Part, bytes: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const giveUp = () => {
        this.#waiting.delete(waiter);
        reject(signal!.reason as Error);
        // Whoever waits behind may need less than this one did.
        this.#serve();
      };
      const waiter: Waiter = {
        part,
        bytes,
        grant: () => {
          signal?.removeEventListener('abort', giveUp);
          resolve();
        },
      };
      this.#waiting.add(waiter);
      signal?.addEventListener('abort', giveUp, { once: true });
      // Those who wait may all have had their share.
      this.#serve();
    });
  }

  #serve(): void {
    for (const small of [true, false]) {
      for (let next = this.#next(small); next !== undefined; next = this.#next(small)) {
        if (this.#usedBytes + next.bytes > this.#limitOf(next.part, next.bytes)) break;
        this.#waiting.delete(next);
        this.#change(next.part, next.bytes);
        next.grant();
      }
    }
    this.#look();
  }

  /** The first request of the holder that has least, of the small ones or the others whose holder may have more. */
  #next(small: boolean): Waiter | undefined {
    const seen = new Set<string>();
    let next: Waiter | undefined;
    for (const waiter of this.#waiting) {
      const { part, bytes } = waiter;
      if (isSmall(part, bytes) !== small || seen.has(part.holder)) continue;
      seen.add(part.holder);
      if (this.#heldBy(part.holder) + bytes > this.shareBytes) continue;
      if (next === undefined || this.#heldBy(part.holder) < this.#heldBy(next.part.holder)) next = waiter;
    }
    return next;
  }

  #fits(part: Part, bytes: number): boolean {
    if (this.#heldBy(part.holder) + bytes > this.shareBytes) return false;
    return this.#usedBytes + bytes <= this.#limitOf(part, bytes);
  }

  /** How many bytes may be used with this request. */
  #limitOf(part: Part, bytes: number): number {
    return isSmall(part, bytes) ? this.totalBytes : this.totalBytes - Math.floor(this.totalBytes / 8);
  }

  /** The most that a part may have. */
  #mostOf(part: Part): number {
    return part.isExempt ? this.shareBytes : Math.min(this.shareBytes, this.#limitOf(part, Infinity));
  }

  #change(part: Part, bytes: number): void {
    if (bytes === 0) return;
    if (part.bytes === 0) part.since = performance.now();
    part.bytes += bytes;
    this.#usedBytes += bytes;
    const held = this.#heldBy(part.holder) + bytes;
    if (held === 0) this.#usedBy.delete(part.holder);
    else this.#usedBy.set(part.holder, held);
    if (bytes < 0 && this.#waiting.size > 0) this.#serve();
    else if (this.#usedBytes * 2 > this.totalBytes) this.#look();
  }

  #heldBy(holder: string): number {
    return this.#usedBy.get(holder) ?? 0;
  }

  /** Has parts of slow callers put away where that is needed, and looks again later where it may become needed. */
  #look(): void {
    const now = performance.now();
    if (now - this.#lookedAt >= LOOK_MS) {
      this.#lookedAt = now;
      this.#relieve(now);
    }
    if (this.#timer !== undefined) return;
    if (this.#waiting.size === 0 && this.#usedBytes * 2 <= this.totalBytes) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#look();
    }, LOOK_MS);
    this.#timer.unref();
  }

  #relieve(now: number): void {
    const first = [this.#next(true), this.#next(false)].flatMap((next) => next ?? []);
    const wanted = [
      ...first.map(({ part, bytes }) => ({ bytes: this.#usedBytes + bytes - this.#limitOf(part, bytes) })),
      // Who has had the whole of its share waits for memory of its own.
      ...[...this.#waiting].map(({ part: { holder }, bytes }) => ({
        ...{ holder, bytes: this.#heldBy(holder) + bytes - this.shareBytes },
      })),
    ];
    const most = this.#waiting.size > 0 ? AWAY_AT_ONCE_IF_WAITING : AWAY_AT_ONCE;
    const chosen = partsToPutAway([...this.#parts], wanted, this.totalBytes / 2, now);
    for (const part of chosen.slice(0, Math.max(0, most - this.#away))) {
      // The store or the catalog may refuse it. The part stays as it is, and its upload goes on.
      this.#putAway(part).catch(() => undefined);
    }
  }

  #putAway(part: Part): Promise<void> {
    part.wasAway = true;
    this.#away += 1;
    part.away = part.putAway!()
      .then(
        () => (part.since = performance.now()),
        (error: unknown) => {
          part.since = performance.now() + RETRY_MS;
          throw error;
        },
      )
      .finally(() => {
        part.away = undefined;
        this.#away -= 1;
        // The next one follows without a pause.
        this.#lookedAt = 0;
        if (this.#waiting.size > 0) this.#serve();
        else this.#look();
      })
      .then(() => undefined);
    return part.away;
  }
}
