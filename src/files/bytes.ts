import type { BlobStore } from '../storage/blob-store.ts';
import type { FilesContext } from './context.ts';
import type { SlotOutcome } from './reservations.ts';
import type { SpareBlob } from './upload/segment.ts';
import { blobKey } from './ids.ts';

/** How long removing what a call left may take, in milliseconds. */
const CLEANUP_TIMEOUT_MS = 10_000;

type BytesContext = Pick<FilesContext, 'store'>;

/** Removes the blob of a file and whatever of it is unfinished. */
export async function removeBlob({ store }: BytesContext, fileId: string): Promise<void> {
  await store.delete(blobKey(fileId), { signal: AbortSignal.timeout(CLEANUP_TIMEOUT_MS) });
}

/** Removes the multipart blobs of an id that were begun and not completed. */
export async function removeUnfinished({ store }: BytesContext, fileId: string): Promise<void> {
  await store.abortMultiparts(blobKey(fileId), { signal: AbortSignal.timeout(CLEANUP_TIMEOUT_MS) });
}

/**
 * Gives blobs for bytes that are only in the way in memory. Each lies under an id that was reserved for it and never becomes a file,
 * so that the sweeper removes what a crash leaves.
 */
export function spareBlobs({
  store,
  reservations,
}: Pick<FilesContext, 'store' | 'reservations'>): () => Promise<SpareBlob> {
  return async () => {
    const reserved = await reservations.take();
    const key = blobKey(reserved.fileId);
    return {
      key,
      async remove(mayArrive = false) {
        const outcome = await tryDelete(store, key);
        reserved.release(mayArrive ? 'unsettled' : outcome);
      },
    };
  };
}

async function tryDelete(store: BlobStore, key: string): Promise<SlotOutcome> {
  try {
    await store.delete(key, { signal: AbortSignal.timeout(CLEANUP_TIMEOUT_MS) });
    return 'settled';
  } catch {
    return 'unsettled';
  }
}
