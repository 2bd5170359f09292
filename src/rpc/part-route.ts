import type { IncomingMessage, ServerResponse } from 'node:http';
import { isAssetError } from '../errors.ts';
import { withProgress } from '../files/stall-timeout.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import type { PartGrant } from '../storage/signed-url.ts';
import { holdUnread } from './hold-unread.ts';
import type { InboundBudget } from './inbound-budget.ts';

/** What parts may take of the service while they come in. */
export interface PartBounds {
  /** Counts the bytes that were sent and not read yet. */
  readonly inbound: InboundBudget;
  /** Is told how many more, or fewer, parts are on their way in: they share the windows of HTTP/2 with uploads. */
  readonly onChange: (change: number) => void;
  /** Time in which some bytes of a part have to come, in milliseconds. */
  readonly stallTimeoutMs: number;
}

/** How a PUT is answered: a status, and the tag of the part that was stored. */
export interface PartAnswer {
  readonly status: number;
  readonly etag?: string;
  /** True if the same may be sent again soon. */
  readonly retry?: boolean;
}

/**
 * Stores the body of a PUT as one part; it is read no faster than the store takes it. Undefined if nobody is left to be told.
 */
export async function takePart(
  store: BlobStore,
  { key, multipartId, partNumber, sizeBytes }: PartGrant,
  request: IncomingMessage,
  response: ServerResponse,
  { inbound, onChange, stallTimeoutMs }: PartBounds,
): Promise<PartAnswer | undefined> {
  const said = request.headers['content-length'];
  if (said !== undefined && Number(said) !== sizeBytes) {
    return { status: Number(said) > sizeBytes ? 413 : 400 };
  }
  const gone = new AbortController();
  const unread = holdUnread(request, inbound, (error) => gone.abort(error));
  // Who waits behind another writer would not see that its sender has gone.
  response.once('close', () => gone.abort());
  onChange(1);
  try {
    // The connection is still needed for the answer when the store has seen enough.
    const body = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
    const chunks = withProgress(body, stallTimeoutMs);
    const part = await store.putPart(
      key,
      multipartId,
      partNumber,
      { sizeBytes, chunks },
      { signal: gone.signal },
    );
    return { status: 200, etag: `"${part.tag}"` };
  } catch (error) {
    if (isAssetError(error, 'SIZE_MISMATCH')) return { status: 400 };
    if (isAssetError(error, 'UPLOAD_EXPIRED')) return { status: 404 };
    if (isAssetError(error, 'UPLOAD_STALLED')) return { status: 408 };
    if (isAssetError(error, 'RATE_LIMITED', 'TOO_MANY_UPLOADS')) return { status: 503, retry: true };
    // A sender that goes away in the middle is no fault.
    if (gone.signal.aborted || (request.destroyed && !request.complete)) return undefined;
    throw error;
  } finally {
    onChange(-1);
    unread.release();
  }
}
