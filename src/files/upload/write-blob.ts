import type { BlobProperties } from '../../storage/blob.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import type { MemoryShare } from '../../storage/memory-share.ts';
import { Digest } from './digest.ts';
import { summed, type UploadContent } from './chunk.ts';
import { Inflow } from './inflow.ts';
import { storeBlob } from './store-blob.ts';

/** How {@link writeBlob} writes. */
export interface WriteBlobOptions extends BlobProperties {
  /** Number of bytes that `chunks` must bring, where known. */
  readonly sizeBytes?: number;
  /** Wanted size of a part. It is kept within the store's limits, and grows with a known size. */
  readonly partSizeBytes: number;
  /** Greatest number of parts in memory at once, the one being filled included; 4 where left out. */
  readonly concurrency?: number;
  /** What the memory for parts is taken from. */
  readonly budget: MemoryShare;
  /** Ends the write; it then rejects with `signal.reason`. */
  readonly signal?: AbortSignal;
}

/**
 * Stores a blob from a stream of chunks that nobody uploads, such as a copy. Rejects like {@link storeBlob}, and with what
 * `chunks` fail with.
 *
 * @returns whether there was a blob under the key already, and the checksums of what was read
 */
export async function writeBlob(
  store: BlobStore,
  key: string,
  chunks: AsyncIterable<Uint8Array>,
  { contentType, headers, budget, partSizeBytes, concurrency = 4, ...rest }: WriteBlobOptions,
): Promise<{ readonly status: 'created' | 'exists' } & ReturnType<Digest['finish']>> {
  const { signal = new AbortController().signal, sizeBytes } = rest;
  const hash = new Digest();
  const rules = { sizeBytes, isWhole: true, admit: () => undefined, hash, signal };
  const { status } = await storeBlob(new Inflow(contentOf(chunks), rules), {
    ...{ store, signal, sizeBytes, partSizeBytes, concurrency, memory: budget, spare: undefined },
    begin: () => Promise.resolve({ key, contentType, ...(headers && { headers }) }),
  });
  return { status, ...hash.finish() };
}

function contentOf(chunks: AsyncIterable<Uint8Array>): UploadContent {
  const source = chunks[Symbol.asyncIterator]();
  const end = { expected: {}, isComplete: true };
  return {
    async next() {
      const next = await source.next();
      return next.done ? { done: true, value: end } : { done: false, value: summed(next.value) };
    },
    async return() {
      await source.return?.();
      return { done: true, value: end };
    },
  };
}
