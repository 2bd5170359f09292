import type { BlobProperties } from '../../storage/blob.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import type { Inflow } from './inflow.ts';
import { partSizeFor } from './part-size.ts';
import { Parts, type PartsOptions } from './parts.ts';

/** How long a failed write may take to clean up, in milliseconds. */
const CLEANUP_TIMEOUT_MS = 5_000;

/** What is decided of a blob when its first bytes can be looked at. */
export interface BlobTarget extends BlobProperties {
  readonly key: string;
}

/** How {@link storeBlob} writes. */
export interface StoreBlobOptions extends Pick<
  PartsOptions<undefined>,
  'store' | 'memory' | 'spare' | 'concurrency' | 'signal'
> {
  /** Number of bytes that will come, where known. */
  readonly sizeBytes?: number | undefined;
  /** Wanted size of a part. It is kept within the store's limits, and grows with a known size. */
  readonly partSizeBytes: number;
  /** Decides where the bytes go. Called when there is memory for the first of them; none was read before. */
  readonly begin: () => Promise<BlobTarget>;
  /** Told before anything is sent that may be left in the store. */
  readonly onSend?: () => void;
  /** Refuses bytes that are not what their caller said. Called after the last; what it refuses never becomes a blob. */
  readonly verify?: () => Promise<void>;
}

/** What became of a write. */
export interface StoredBlob {
  /** `exists`: there was a blob under the key already, and nothing was stored. */
  readonly status: 'created' | 'exists';
  readonly inParts: boolean;
}

/**
 * Stores a blob from the bytes of a call: in one go if they fit into one part, else in parts that are on their way side by
 * side. Takes only what it has memory for.
 *
 * Rejects with what `inflow`, `verify` or `signal` fail with, with FILE_TOO_LARGE if the bytes are more than the store's
 * parts can hold, and like {@link BlobStore.put}. Then nothing it wrote is left, as far as the store could be reached.
 */
export async function storeBlob(inflow: Inflow, options: StoreBlobOptions): Promise<StoredBlob> {
  const { store, memory, spare, concurrency, signal, sizeBytes } = options;
  const partSizeBytes = partSizeFor(store, options.partSizeBytes, sizeBytes);
  let target: BlobTarget | undefined;
  let hasBegun = false;
  let status: 'created' | 'exists' | undefined;
  const parts = new Parts<undefined>({
    ...{ store, memory, spare, concurrency, signal, partSizeBytes, restBytes: sizeBytes },
    key: () => target!.key,
    begin: (_part, { signal: sending }) => {
      hasBegun = true;
      options.onSend?.();
      const { key, ...properties } = target!;
      return store.startMultipart(key, { ...properties, partSizeBytes }, { signal: sending });
    },
    mark: () => undefined,
  });
  try {
    await parts.open.prepare(signal);
    target = await options.begin();
    await parts.pour(inflow);
    if (!parts.isOne) await parts.flush();
    await options.verify?.();
    options.onSend?.();
    status = await assemble(store, target, parts);
    return { status, inParts: !parts.isOne };
  } catch (error) {
    // The first failure, not what followed from it.
    throw await parts.fail(error);
  } finally {
    if (hasBegun && status !== 'created') await dropParts(store, target!.key);
    await parts.close();
    inflow.close();
  }
}

async function assemble(
  store: BlobStore,
  { key, ...properties }: BlobTarget,
  parts: Parts,
): Promise<'created' | 'exists'> {
  const call = { signal: parts.signal };
  if (parts.isOne) return parts.sendOpen((body) => store.put(key, body, properties, call), call);
  const stored = parts.takeStored().map(({ part }) => part);
  return store.completeMultipart(key, parts.multipartId!, stored, call);
}

async function dropParts(store: BlobStore, key: string): Promise<void> {
  try {
    // The caller's signal may be aborted by now.
    await store.abortMultiparts(key, { signal: AbortSignal.timeout(CLEANUP_TIMEOUT_MS) });
  } catch {
    // The sweeper does it later; the failure that led here is the one to tell.
  }
}
