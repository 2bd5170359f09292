import { CHUNK_BYTES, recut } from './pieces.ts';

/** A stream whose last bytes are kept, so that they can be read again as long as nobody has acknowledged them. */
export class StreamWindow {
  readonly #pieces: AsyncGenerator<Uint8Array, void>;
  /** What is kept, without a gap, up to `#end`. */
  #kept: { readonly start: number; readonly bytes: Uint8Array }[] = [];
  #end = 0;
  #acknowledged = 0;
  #pulling: Promise<boolean> | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#pieces = recut(chunks, CHUNK_BYTES);
  }

  /** Place of the first byte that can still be read. */
  get start(): number {
    return this.#kept[0]?.start ?? this.#end;
  }

  /** True if the stream can be read from this place on. */
  holds(offset: number): boolean {
    return offset >= this.start && offset <= this.#end;
  }

  /** Says that no byte before `offset` will be asked for again. */
  acknowledge(offset: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, offset);
    const wanted = this.#kept.findIndex(({ start, bytes }) => start + bytes.length > this.#acknowledged);
    this.#kept.splice(0, wanted < 0 ? this.#kept.length : wanted);
  }

  /** The bytes from a place on that is held: first what is kept, then what the stream brings. */
  async *read(offset: number): AsyncGenerator<Uint8Array> {
    for (let at = offset; ;) {
      const piece = this.#kept.find(({ start, bytes }) => start <= at && at < start + bytes.length);
      if (piece !== undefined) {
        yield piece.bytes.subarray(at - piece.start);
        at = piece.start + piece.bytes.length;
      } else if (!(await (this.#pulling ??= this.#pull()))) {
        return;
      }
    }
  }

  /** Reads one more piece. Shared by all that wait for it, since a try that was given up may still do. */
  async #pull(): Promise<boolean> {
    // A generator that failed says afterwards that it has ended, which would make a file of half a stream.
    if (this.#failure !== undefined) throw this.#failure.error;
    try {
      const next = await this.#pieces.next();
      if (next.done === true) return false;
      this.#kept.push({ start: this.#end, bytes: next.value });
      this.#end += next.value.length;
      return true;
    } catch (error) {
      this.#failure = { error };
      throw error;
    } finally {
      this.#pulling = undefined;
    }
  }
}
