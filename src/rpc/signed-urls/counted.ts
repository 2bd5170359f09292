/** Is told of bytes of files. Must not throw. */
export interface ContentObserver {
  received(bytes: number): void;
  sent(bytes: number): void;
}

/** The same chunks; tells the number of bytes of each. */
export async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  tell: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    tell(chunk.length);
    yield chunk;
  }
}
