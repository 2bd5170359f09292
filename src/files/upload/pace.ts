import { SMALL_BLOCK_BYTES } from '../../storage/memory-blocks.ts';

/** Memory that a part begins with, and grows by while its caller is slow, in bytes. */
const STEP_BYTES = SMALL_BLOCK_BYTES;

/** From this size on a file of unknown size counts as large, in bytes. */
const LARGE_BYTES = 256 * 1024;

/** A caller is slow if it keeps the service waiting for longer than this at the beginning of a part, in milliseconds. */
const HESITATION_MS = 250;

/** A caller is slow if it keeps the service waiting for longer than this during one part, in milliseconds. */
const SLOW_MS = 1_000;

/** How much memory a part takes ahead of its bytes: all that it may need for a quick caller, little for a slow one. */
export class Pace {
  readonly #wasQuick: boolean;
  #waitedMs = 0;
  #isDisplaced = false;

  /** @param wasQuick - whether the caller filled the part before quickly */
  constructor(wasQuick: boolean) {
    this.#wasQuick = wasQuick;
  }

  /** True if the caller did not keep the service waiting. */
  get isQuick(): boolean {
    return this.#waitedMs < SLOW_MS && !this.#isDisplaced;
  }

  /** True if the caller keeps the service waiting, so that its bytes come in small steps over a long time. */
  get isSlow(): boolean {
    return this.#waitedMs > HESITATION_MS || this.#isDisplaced;
  }

  /** Adds the time that the service waited for the caller, in milliseconds. */
  waited(ms: number): void {
    this.#waitedMs += ms;
  }

  /** Notes that others needed the memory of the part. */
  wasPutAway(): void {
    this.#isDisplaced = true;
  }

  /**
   * How many bytes of memory to take next.
   *
   * @param part - what the part has, how much more it can get, and whether it is certain that so much will come
   */
  step(part: { readonly hasBytes: number; readonly leftBytes: number; readonly isKnown: boolean }): number {
    const { hasBytes, leftBytes, isKnown } = part;
    const isSlow = hasBytes > 0 ? this.isSlow : !this.#wasQuick;
    const most = isSlow ? STEP_BYTES : isKnown || hasBytes >= LARGE_BYTES ? Infinity : LARGE_BYTES - hasBytes;
    return Math.max(1, Math.min(leftBytes, most));
  }
}
