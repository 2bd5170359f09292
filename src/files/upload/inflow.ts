import { sizeMismatch } from '../../errors/uploads.ts';
import { SNIFF_BYTES } from '../content-type/content-type.ts';
import {
  summed,
  type Checksums,
  type Chunk,
  type ExpectedChecksums,
  type HashState,
  type RunningHash,
} from './checksums.ts';
import type { FileScan } from './scan.ts';

/** What stands at the end of the bytes of a call. */
export interface ContentEnd {
  /** Checksums of the whole file that the caller gave with the bytes. */
  readonly expected: ExpectedChecksums;
  /** True if the caller said that the file is complete. */
  readonly isComplete: boolean;
}

/**
 * The bytes of one call. It throws whatever ends them early: a source that ends without throwing is complete. It is asked for
 * the next bytes only when there is room for them.
 */
export type UploadContent = AsyncIterator<Chunk, ContentEnd, undefined>;

/** Limits and destination of the bytes of a call. */
export interface InflowOptions {
  /** Bytes of the file that are stored already. */
  readonly offset?: number;
  /** Size of the whole file that the caller gave. */
  readonly sizeBytes?: number | undefined;
  /** True if the file must be complete at the end of the bytes. */
  readonly isWhole: boolean;
  /** Throws if a file of so many bytes, or more, is not allowed: by its usage, by the quota of its owner. */
  readonly admit: (sizeBytes: number) => Promise<void> | void;
  readonly hash: RunningHash;
  /** Ends the wait for bytes. */
  readonly signal: AbortSignal;
}

/** The bytes of one call on their way in: counted, checked against size, policy and quota, scanned and hashed, once. */
export class Inflow {
  readonly #content: UploadContent;
  readonly #options: InflowOptions;
  /** Is shown all bytes from here on; undefined for none. */
  scan: FileScan | undefined;
  /** Chunks that were looked at and not taken. */
  readonly #ahead: Chunk[] = [];
  #sizeBytes: number;
  #end: ContentEnd | undefined;
  /** Ends the wait for the next chunk. */
  #giveUp: ((reason: Error) => void) | undefined;
  #aborted: Error | undefined;
  readonly #onAbort = () => this.abort(this.#options.signal.reason as Error);

  constructor(content: UploadContent, options: InflowOptions) {
    this.#content = content;
    this.#options = options;
    this.#sizeBytes = options.offset ?? 0;
    if (options.signal.aborted) this.#onAbort();
    options.signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Bytes of the file that have come, with those that were stored already. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** What stood at the end of the bytes. Call it after the last. */
  get end(): ContentEnd {
    if (this.#end === undefined) throw new Error('the bytes have not ended');
    return this.#end;
  }

  /** Ends the wait for bytes; no more can be had. */
  abort(reason: Error): void {
    this.#aborted ??= reason;
    this.#giveUp?.(reason);
  }

  /** The first bytes, as many as show the type of a file, or all if they are fewer. They remain to be taken. */
  async head(): Promise<Uint8Array> {
    let length = 0;
    while (length < SNIFF_BYTES) {
      const chunk = await this.#pull();
      if (chunk === undefined) break;
      this.#ahead.push(chunk);
      length += chunk.bytes.length;
    }
    const [first, ...others] = this.#ahead;
    if (others.length === 0) return first?.bytes.subarray(0, SNIFF_BYTES) ?? new Uint8Array();
    return Buffer.concat(this.#ahead.map(({ bytes }) => bytes)).subarray(0, SNIFF_BYTES);
  }

  /** Whether any bytes are left. May wait for them. */
  async hasMore(): Promise<boolean> {
    if (this.#ahead.length > 0) return true;
    const chunk = await this.#pull();
    if (chunk !== undefined) this.#ahead.push(chunk);
    return chunk !== undefined;
  }

  /** The next bytes, at most so many; undefined at the end. Rejects with what ends them early. */
  async next(maxBytes: number): Promise<Chunk | undefined> {
    let chunk = this.#ahead.shift() ?? (await this.#pull());
    if (chunk === undefined) return undefined;
    if (chunk.bytes.length > maxBytes) {
      this.#ahead.unshift(summed(chunk.bytes.subarray(maxBytes)));
      chunk = summed(chunk.bytes.subarray(0, maxBytes));
    }
    await this.scan?.show(chunk.bytes);
    return chunk;
  }

  /** Hashes bytes that were taken. */
  accept(chunk: Chunk): void {
    this.#options.hash.update(chunk);
  }

  /** Takes and drops all bytes. */
  async drain(): Promise<void> {
    for (let chunk; (chunk = await this.next(Infinity)) !== undefined;) this.accept(chunk);
  }

  /** State of the hash after the bytes so far; undefined if it cannot be continued. */
  hashState(): HashState | undefined {
    return this.#options.hash.save();
  }

  /** Checksums of the whole file. Call it once, after the last byte. */
  checksums(): Checksums {
    return this.#options.hash.finish();
  }

  /** Tells the source that nothing more is wanted. Does not wait: the source may hang. */
  close(): void {
    this.#options.signal.removeEventListener('abort', this.#onAbort);
    void Promise.resolve(this.#content.return?.()).catch(() => undefined);
  }

  async #pull(): Promise<Chunk | undefined> {
    const { sizeBytes, admit, isWhole } = this.#options;
    while (this.#end === undefined) {
      const next = await this.#next();
      if (next.done) {
        this.#end = next.value;
        const isShort = isWhole && sizeBytes !== undefined && this.#sizeBytes < sizeBytes;
        if (isShort) throw sizeMismatch(sizeBytes, this.#sizeBytes);
      } else if (next.value.bytes.length > 0) {
        this.#sizeBytes += next.value.bytes.length;
        if (sizeBytes !== undefined && this.#sizeBytes > sizeBytes) {
          throw sizeMismatch(sizeBytes, `more than ${sizeBytes}`);
        }
        await admit(this.#sizeBytes);
        return next.value;
      }
    }
    return undefined;
  }

  #next(): Promise<IteratorResult<Chunk, ContentEnd>> {
    // Promise.race() would keep every chunk alive for as long as the signal lives.
    return new Promise((resolve, reject) => {
      if (this.#aborted) return reject(this.#aborted);
      this.#giveUp = reject;
      this.#content.next().then(resolve, reject);
    });
  }
}
