import { SNIFF_BYTES } from '../content-type/content-type.ts';
import type { FileScan } from './scan.ts';
import { summed, type Chunk, type ContentEnd, type UploadContent } from './chunk.ts';
import { sizeMismatch } from '../../errors/uploads.ts';

/** What sums the bytes up as they go by. */
export interface RunningHash {
  update(chunk: Chunk): void;
}

/** What the bytes of a call are held to. */
export interface InflowOptions {
  /** Bytes of the file that are there already. */
  readonly offset?: number;
  /** Size of the whole file that the caller gave. */
  readonly sizeBytes?: number | undefined;
  /** True if the file has to be complete at the end of the bytes. */
  readonly isWhole: boolean;
  /** Refuses a file that has so many bytes or more: by its usage, by its owner's quota. */
  readonly admit: (sizeBytes: number) => Promise<void> | void;
  readonly hash: RunningHash;
  /** Ends the wait for bytes. */
  readonly signal: AbortSignal;
}

/** The bytes of one call on their way in: counted, held to size, policy and quota, hashed and scanned, once. */
export class Inflow {
  readonly #content: UploadContent;
  readonly #options: InflowOptions;
  /** Is shown the bytes from here on. */
  scan: FileScan | undefined;
  /** Chunks that were looked at and not handed on. */
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

  /** Bytes of the file that have come, those that were there included. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** What stood at the end of the bytes. There once they have ended. */
  get end(): ContentEnd {
    if (this.#end === undefined) throw new Error('the bytes have not ended');
    return this.#end;
  }

  /** Ends the wait for bytes; no more can be had. */
  abort(reason: Error): void {
    this.#aborted ??= reason;
    this.#giveUp?.(reason);
  }

  /** The first bytes, as many as tell the type of a file, or all of fewer. They are handed on all the same. */
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

  /** Whether any bytes are left, which may mean to wait for them. */
  async hasMore(): Promise<boolean> {
    if (this.#ahead.length > 0) return true;
    const chunk = await this.#pull();
    if (chunk !== undefined) this.#ahead.push(chunk);
    return chunk !== undefined;
  }

  /** The next bytes, at most so many; undefined at the end. */
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

  /** Takes bytes that were handed on into the checksums. */
  accept(chunk: Chunk): void {
    this.#options.hash.update(chunk);
  }

  /** Takes and drops all bytes. */
  async drain(): Promise<void> {
    for (let chunk; (chunk = await this.next(Infinity)) !== undefined;) this.accept(chunk);
  }

  /** Tells the source that nothing more is wanted of it. Does not wait: it may hang. */
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
