import { CHUNK_BYTES, recut } from './pieces.ts';

/** A stream that keeps the bytes it returned until they are acknowledged, so that they can be read again. */
export class StreamWindow {
  readonly #pieces: AsyncGenerator<Uint8Array, void>;
  /** The kept bytes, without gaps, up to `#end`. */
  #kept: { readonly start: number; readonly bytes: Uint8Array }[] = [];
  #end = 0;
  #acknowledged = 0;
  #pulling: Promise<boolean> | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#pieces = recut(chunks, CHUNK_BYTES);
  }

  /** Offset of the first byte that can still be read. */
  get start(): number {
    return this.#kept[0]?.start ?? this.#end;
  }

  /** True if the stream can be read from this offset. */
  holds(offset: number): boolean {
    return offset >= this.start && offset <= this.#end;
  }

  /** No byte before `offset` will be needed again. */
  acknowledge(offset: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, offset);
    const wanted = this.#kept.findIndex(({ start, bytes }) => start + bytes.length > this.#acknowledged);
    this.#kept.splice(0, wanted < 0 ? this.#kept.length : wanted);
  }

  /** The bytes from an offset: first the kept ones, then the rest of the stream. */
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

  /** Reads one more piece. Shared by all readers, because an abandoned try may still be reading. */
  async #pull(): Promise<boolean> {
    // After an error a generator reports its end, which would turn half a stream into a file.
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
