import type { IncomingMessage, ServerResponse } from 'node:http';
import { isAssetError } from '../../errors/asset-error.ts';
import { withProgress } from '../../files/upload/stall-timeout.ts';
import type { BlobStore } from '../../storage/blob-store.ts';
import type { PartGrant } from '../../storage/signed-url.ts';
import { counted, type ContentObserver } from './counted.ts';
import { holdUnread, type InboundBudget } from '../gate/inbound-budget.ts';

/** Limits for parts while they are received. */
export interface PartBounds {
  /** Counts received but unread bytes. */
  readonly inbound: InboundBudget;
  /** Called with the change in the number of parts being received: they share the HTTP/2 windows with uploads. */
  readonly onChange: (change: number) => void;
  /** Maximum time without bytes of a part, in milliseconds. */
  readonly stallTimeoutMs: number;
}

/** Response to a PUT: status, and tag of the stored part. */
export interface PartAnswer {
  readonly status: number;
  readonly etag?: string;
  /** True if the caller may retry soon. */
  readonly retry?: boolean;
}

/**
 * Stores the body of a PUT as one part, reading it as fast as the store accepts it. Undefined if the caller has
 * disconnected.
 */
export async function takePart(
  store: BlobStore,
  { key, multipartId, partNumber, sizeBytes }: PartGrant,
  request: IncomingMessage,
  response: ServerResponse,
  { inbound, onChange, stallTimeoutMs }: PartBounds,
  observer?: ContentObserver,
): Promise<PartAnswer | undefined> {
  const said = request.headers['content-length'];
  if (said !== undefined && Number(said) !== sizeBytes) {
    return { status: Number(said) > sizeBytes ? 413 : 400 };
  }
  const gone = new AbortController();
  const unread = holdUnread(request, inbound, (error) => gone.abort(error));
  // While it waits for another writer, the sender's disconnect would not be noticed.
  response.once('close', () => gone.abort());
  onChange(1);
  try {
    // The connection is needed for the response after the store has enough.
    const body = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
    const progress = withProgress(body, stallTimeoutMs);
    const chunks = observer ? counted(progress, (bytes) => observer.received(bytes)) : progress;
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
    // A sender that disconnects is no error.
    if (gone.signal.aborted || (request.destroyed && !request.complete)) return undefined;
    throw error;
  } finally {
    onChange(-1);
    unread.release();
  }
}
