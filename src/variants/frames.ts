import type { Readable } from 'node:stream';

/** Maximum size of the JSON of a frame, in bytes. */
const MAX_JSON_BYTES = 64 * 1024;

/** The start of a frame: the length of its JSON as four bytes, then the JSON. What follows is its body. */
export function frameHeader(value: object): Buffer {
  const json = Buffer.from(JSON.stringify(value));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(json.length);
  return Buffer.concat([length, json]);
}

/** Reads frames, each with a JSON header and a body. */
export class FrameReader {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(stream: Readable) {
    this.#chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** The JSON of the next frame; undefined at the end of the stream. */
  async header(): Promise<unknown> {
    const length = await this.bytes(4);
    if (length === undefined) return undefined;
    const size = length.readUInt32BE();
    if (size > MAX_JSON_BYTES) throw new Error('a frame has a header that is too long');
    const json = await this.bytes(size);
    return json === undefined ? undefined : JSON.parse(json.toString());
  }

  /** The next `count` bytes; undefined if the stream ends before. */
  async bytes(count: number): Promise<Buffer | undefined> {
    const parts = [this.#rest];
    let got = this.#rest.length;
    while (got < count) {
      const next = await this.#chunks.next();
      if (next.done === true) return undefined;
      parts.push(next.value);
      got += next.value.length;
    }
    const all = parts.length === 1 ? this.#rest : Buffer.concat(parts, got);
    this.#rest = all.subarray(count);
    return all.subarray(0, count);
  }
}
