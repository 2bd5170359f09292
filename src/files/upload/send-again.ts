import { setTimeout as sleep } from 'node:timers/promises';
import { isAssetError } from '../../errors/asset-error.ts';
import type { BlobBody } from '../../storage/blob.ts';
import type { MemoryShare } from '../../storage/memory-share.ts';

/** How often a body that is read from blobs is sent. The store repeats by itself what lies in memory. */
const ATTEMPTS = 3;
const RETRY_MS = 250;

/** Sends a body; one that is read from blobs again where the store fails, and only a few such at once. */
export async function sendAgain<B extends BlobBody, T>(
  memory: MemoryShare,
  bodyOf: () => B,
  signal: AbortSignal,
  send: (body: B) => Promise<T>,
): Promise<T> {
  const first = bodyOf();
  if (Array.isArray(first.chunks)) return send(first);
  return memory.rereads(async () => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await send(bodyOf());
      } catch (error) {
        if (attempt === ATTEMPTS || signal.aborted || !isAssetError(error, 'STORE_UNAVAILABLE')) throw error;
        await sleep(RETRY_MS * attempt);
      }
    }
  });
}
