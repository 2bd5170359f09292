import type { BlobProperties } from './blob.ts';
import type { StoreCall } from './blob-store.ts';

/** An object of another bucket. */
export interface CopySource {
  readonly key: string;
  /** Names the bytes: those of another etag are not copied. */
  readonly etag: string;
  readonly sizeBytes: number;
}

/** Creates blobs from the objects of another bucket of the same server, which copies the bytes itself. */
export interface ObjectCopier {
  /**
   * Creates a blob with the bytes of an object. Resolves with `exists`, without a change, if the store sees that the key
   * has a blob, and with `refused` if the store does not copy from this bucket: it has no such request, or the key of the
   * service may not read the bucket.
   *
   * Rejects with BLOB_MISSING if the object is gone or was replaced, and like `BlobStore.put`.
   */
  copy(
    key: string,
    source: CopySource,
    properties: BlobProperties,
    call?: StoreCall,
  ): Promise<'created' | 'exists' | 'refused'>;

  /** Releases connections. */
  close(): void;
}
