/** A number of files and their bytes. */
export interface Used {
  readonly files: number;
  readonly bytes: number;
}

/** A limit for what is held. */
export interface Bound {
  /** Holds with the same key count together. */
  readonly key: string;
  /** Throws if this exceeds the limit. */
  readonly assertWithin: (used: Used) => void;
}

/** Held room, until disposed. */
export interface Hold extends Disposable {
  /** Enlarges the hold; a smaller number changes nothing. Throws the error of a limit, and then keeps its size. */
  grow(bytes: number): Promise<void>;
  /** Reads the current use again, unless it was read a moment ago. Throws the error of a limit. */
  confirm(): Promise<void>;
}

/** Maximum age of the read use when a hold is confirmed or something is refused, in milliseconds. */
const FRESH_MS = 1000;

/** How often to read the use again while other holds end. */
const READS = 5;

/** What is held under one key. */
interface Tally {
  files: number;
  bytes: number;
  /** For each hold: what others under this key gave back since the hold last read the use. */
  readonly givenBack: Set<{ files: number; bytes: number }>;
}

/**
 * Shares limited room among concurrent work in this process. The use is read from the catalog; work in progress
 * counts on top from its admission.
 *
 * Room that was given back may or may not be in the use that was read: it counts until the next read, which happens
 * before anything is refused because of it.
 */
export class Holds {
  readonly #tallies = new Map<string, Tally>();

  /**
   * Takes room under every limit, or under none.
   *
   * @param read - the current use, for each limit
   */
  async take(bounds: readonly Bound[], wanted: Used, read: () => Promise<readonly Used[]>): Promise<Hold> {
    if (bounds.length === 0) return NOTHING;
    const hold = new RoomHold(this.#tallies, bounds, read);
    try {
      await hold.fit(wanted);
    } catch (error) {
      hold[Symbol.dispose]();
      throw error;
    }
    return hold;
  }
}

class RoomHold implements Hold {
  readonly #tallies: Map<string, Tally>;
  readonly #bounds: readonly Bound[];
  readonly #read: () => Promise<readonly Used[]>;
  #own: Used = { files: 0, bytes: 0 };
  #used: readonly Used[] | undefined;
  #readAt = 0;
  #givenBack: readonly { files: number; bytes: number }[] = [];

  constructor(tallies: Map<string, Tally>, bounds: readonly Bound[], read: () => Promise<readonly Used[]>) {
    this.#tallies = tallies;
    this.#bounds = bounds;
    this.#read = read;
  }

  async grow(bytes: number): Promise<void> {
    if (bytes > this.#own.bytes) await this.fit({ files: this.#own.files, bytes });
  }

  async confirm(): Promise<void> {
    if (this.#isFresh()) return;
    await this.#readAgain();
    await this.fit(this.#own);
  }

  /** Takes this much if it fits. Nothing is awaited between the check and the hold. */
  async fit(wanted: Used): Promise<void> {
    if (this.#used === undefined) await this.#readAgain();
    for (let reads = 1; ; reads++) {
      try {
        this.#assertFits(wanted);
        break;
      } catch (error) {
        const isSame = this.#givenBack.every(({ files, bytes }) => files === 0 && bytes === 0);
        if ((isSame && this.#isFresh()) || reads === READS) throw error;
        await this.#readAgain();
      }
    }
    for (const { key } of this.#bounds) {
      const tally = this.#tallies.get(key)!;
      tally.files += wanted.files - this.#own.files;
      tally.bytes += wanted.bytes - this.#own.bytes;
    }
    this.#own = wanted;
  }

  [Symbol.dispose](): void {
    this.#forget(this.#givenBack);
    const { files, bytes } = this.#own;
    this.#own = { files: 0, bytes: 0 };
    for (const { key } of this.#bounds) {
      const tally = this.#tallies.get(key);
      if (tally === undefined) continue;
      tally.files -= files;
      tally.bytes -= bytes;
      for (const seen of tally.givenBack) {
        seen.files += files;
        seen.bytes += bytes;
      }
      if (tally.files === 0 && tally.bytes === 0 && tally.givenBack.size === 0) this.#tallies.delete(key);
    }
  }

  #isFresh(): boolean {
    return performance.now() - this.#readAt < FRESH_MS;
  }

  #assertFits(wanted: Used): void {
    for (const [index, { key, assertWithin }] of this.#bounds.entries()) {
      const parts = [this.#tallies.get(key)!, this.#used![index]!, this.#givenBack[index]!, wanted];
      const total = (what: 'files' | 'bytes') =>
        parts.reduce((sum, part) => sum + part[what], 0) - this.#own[what];
      assertWithin({ files: total('files'), bytes: total('bytes') });
    }
  }

  async #readAgain(): Promise<void> {
    const watched = this.#bounds.map(({ key }) => {
      const tally = this.#tallies.get(key) ?? { files: 0, bytes: 0, givenBack: new Set() };
      this.#tallies.set(key, tally);
      const seen = { files: 0, bytes: 0 };
      tally.givenBack.add(seen);
      return seen;
    });
    const readAt = performance.now();
    try {
      this.#used = await this.#read();
    } catch (error) {
      this.#forget(watched);
      throw error;
    }
    this.#readAt = readAt;
    this.#forget(this.#givenBack);
    this.#givenBack = watched;
  }

  #forget(watched: readonly { files: number; bytes: number }[]): void {
    for (const [index, seen] of watched.entries()) {
      this.#tallies.get(this.#bounds[index]!.key)?.givenBack.delete(seen);
    }
  }
}

/** A hold without limits. */
const NOTHING: Hold = {
  grow: () => Promise.resolve(),
  confirm: () => Promise.resolve(),
  [Symbol.dispose]: () => undefined,
};
