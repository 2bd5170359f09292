/** A number of files with their bytes. */
export interface Used {
  readonly files: number;
  readonly bytes: number;
}

/** A bound that what is held must keep within. */
export interface Bound {
  /** What is held under one key counts together. */
  readonly key: string;
  /** Throws if so much is more than allowed. */
  readonly assertWithin: (used: Used) => void;
}

/** Room that is held until it is disposed. */
export interface Hold extends Disposable {
  /**
   * Makes the hold larger; a smaller number changes nothing. Throws what a bound does, and then keeps what it had.
   */
  grow(bytes: number): Promise<void>;
  /** Looks again at what is used, unless that was read a moment ago. Throws what a bound does. */
  confirm(): Promise<void>;
}

/** How old what was read may be when a hold is confirmed, or something is refused, in milliseconds. */
const FRESH_MS = 1000;

/** How often to read anew what is used, while others are done all the time. */
const READS = 5;

/** What is held under one key. */
interface Tally {
  files: number;
  bytes: number;
  /** One for each hold: what others under this key gave back since the hold last read what is used. */
  readonly givenBack: Set<{ files: number; bytes: number }>;
}

/**
 * Shares room among what runs in this process at once. What is used is read from elsewhere; what is under way counts on top of it
 * from the moment it is let in.
 *
 * What is given back may have come to be used or not, and may have been read already or not: it counts until the next reading,
 * which is made before anything is refused for it.
 */
export class Holds {
  readonly #tallies = new Map<string, Tally>();

  /**
   * Takes room under every bound, or under none.
   *
   * @param read - what is used, for each bound
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

  /** Holds so much from now on. Nothing is waited for between the look at what others hold and the hold itself. */
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

/** The hold of what no bound holds. */
const NOTHING: Hold = {
  grow: () => Promise.resolve(),
  confirm: () => Promise.resolve(),
  [Symbol.dispose]: () => undefined,
};
