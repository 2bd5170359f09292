import type { BlobProperties } from '../../storage/blob.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import type { MemoryShare } from '../../storage/memory-share.ts';
import { Digest, summed } from './checksums.ts';
import { Inflow, type UploadContent } from './inflow.ts';
import { Parts, partSizeFor } from './parts.ts';

/** Time limit of removing the parts of a failed write, in milliseconds. */
const CLEANUP_TIMEOUT_MS = 5_000;

/** How {@link writeBlob} writes. */
export interface WriteBlobOptions extends BlobProperties {
  /** Number of bytes that `chunks` must bring; undefined if unknown. */
  readonly sizeBytes?: number;
  /** Wanted size of a part. It is kept within the store's limits, and grows with a known size. */
  readonly partSizeBytes: number;
  /** Number of parts that are sent at once; default 4. */
  readonly concurrency?: number;
  /** Memory for the parts. */
  readonly budget: MemoryShare;
  /** Ends the write; it then rejects with `signal.reason`. */
  readonly signal?: AbortSignal;
}

/**
 * Stores a blob from a stream that is no upload, such as a copy. Rejects like {@link BlobStore.put}, with what `chunks` fail
 * with, and with FILE_TOO_LARGE if the store's parts cannot hold the bytes. Then nothing that it wrote is left, if the store
 * could be reached.
 *
 * @returns `exists` if the key has a blob already; size and checksums of what was read
 */
export async function writeBlob(
  store: BlobStore,
  key: string,
  chunks: AsyncIterable<Uint8Array>,
  options: WriteBlobOptions,
): Promise<{ readonly status: 'created' | 'exists' } & ReturnType<Digest['finish']>> {
  const { contentType, headers, budget: memory, concurrency = 4, sizeBytes } = options;
  const properties = { contentType, ...(headers && { headers }) };
  const { signal = new AbortController().signal } = options;
  const partSizeBytes = partSizeFor(store, options.partSizeBytes, sizeBytes);
  const hash = new Digest();
  const inflow = new Inflow(contentOf(chunks), {
    ...{ sizeBytes, isWhole: true, admit: () => undefined, hash, signal },
  });
  const parts = new Parts(inflow, {
    ...{ store, memory, signal, concurrency, partSizeBytes, restBytes: sizeBytes, key: () => key },
    begin: (_part, call) => store.startMultipart(key, { ...properties, partSizeBytes }, call),
  });
  let status: 'created' | 'exists' | undefined;
  try {
    await parts.pour();
    await parts.flush();
    const call = { signal: parts.signal };
    if (parts.isOne) {
      status = await parts.sendOpen((body) => store.put(key, body, properties, call), call);
    } else {
      const all = parts.take().map(({ part }) => part);
      status = await store.completeMultipart(key, parts.multipartId!, all, call);
    }
    return { status, ...hash.finish() };
  } catch (error) {
    // The first failure, not what followed from it.
    throw await parts.fail(error);
  } finally {
    if (parts.hasBegun && status !== 'created') await dropParts(store, key);
    await parts.close();
    inflow.close();
  }
}

async function dropParts(store: BlobStore, key: string): Promise<void> {
  try {
    // The caller's signal may be aborted by now.
    await store.abortMultiparts(key, { signal: AbortSignal.timeout(CLEANUP_TIMEOUT_MS) });
  } catch {
    // The sweeper does it later. The failure that led here is the one to report.
  }
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
