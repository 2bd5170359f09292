/** Bytes per message: large enough to be cheap, small enough to keep many uploads in memory. */
export const CHUNK_BYTES = 512 * 1024;

/** Pieces of exactly `size` bytes, except the last. Copies only smaller input pieces. */
export async function* recut(
  chunks: AsyncIterable<Uint8Array>,
  size: number,
): AsyncGenerator<Uint8Array, void> {
  let parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    for (let start = 0; start < chunk.length;) {
      const part = chunk.subarray(start, start + size - length);
      parts.push(part);
      length += part.length;
      start += part.length;
      if (length < size) continue;
      yield parts.length === 1 ? part : Buffer.concat(parts, length);
      parts = [];
      length = 0;
    }
  }
  if (length > 0) yield Buffer.concat(parts, length);
}

/** Marks the last piece by reading one ahead. An empty input gives one empty piece. */
export async function* markLast(
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<{ readonly content: Uint8Array; readonly last: boolean }> {
  let held: Uint8Array | undefined;
  for await (const piece of pieces) {
    if (held !== undefined) yield { content: held, last: false };
    held = piece;
  }
  yield { content: held ?? new Uint8Array(), last: true };
}
