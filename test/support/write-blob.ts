import { Digest } from '../../src/files/digest.ts';
import { summed, type UploadContent } from '../../src/files/upload/chunk.ts';
import { Inflow } from '../../src/files/upload/inflow.ts';
import { storeBlob } from '../../src/files/upload/store-blob.ts';
import type { BlobStore } from '../../src/storage/blob-store.ts';
import type { MemoryBudget } from '../../src/storage/memory-budget.ts';

/** How {@link writeBlob} writes. */
export interface WriteBlobOptions {
  readonly sizeBytes?: number;
  readonly contentType: string;
  readonly partSizeBytes: number;
  readonly concurrency?: number;
  readonly budget: MemoryBudget;
  readonly signal?: AbortSignal;
}

/** Stores a blob from a stream of chunks, the way an upload does. */
export async function writeBlob(
  store: BlobStore,
  key: string,
  chunks: AsyncIterable<Uint8Array>,
  { contentType, budget, partSizeBytes, concurrency = 4, ...rest }: WriteBlobOptions,
): Promise<{ status: 'created' | 'exists'; sizeBytes: number }> {
  const { signal = new AbortController().signal, sizeBytes } = rest;
  const rules = { sizeBytes, isWhole: true, admit: () => undefined, hash: new Digest(), signal };
  const inflow = new Inflow(contentOf(chunks), rules);
  const { status } = await storeBlob(inflow, {
    ...{ store, signal, sizeBytes, partSizeBytes, concurrency, memory: budget.of(''), spare: undefined },
    begin: () => Promise.resolve({ key, contentType }),
  });
  return { status, sizeBytes: inflow.sizeBytes };
}

/** Chunks as the content of an upload that is complete with them. */
export function contentOf(chunks: AsyncIterable<Uint8Array>, isComplete = true): UploadContent {
  const source = chunks[Symbol.asyncIterator]();
  return {
    async next() {
      const next = await source.next();
      if (next.done) return { done: true, value: { expected: {}, isComplete } };
      return { done: false, value: summed(next.value) };
    },
    async return() {
      await source.return?.();
      return { done: true, value: { expected: {}, isComplete } };
    },
  };
}
