import type { FileCatalog } from '../catalog/file-catalog.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import type { ObjectCopier } from '../storage/object-copier.ts';
import type { OldBucket } from './locate.ts';

/** The old system and what the service has of it. */
export interface OldSystem {
  readonly bucket: OldBucket;
  readonly catalog: FileCatalog;
  readonly store: BlobStore;
  /** Copies within the server that both buckets are on; undefined if they are on different ones. */
  readonly copier?: ObjectCopier | undefined;
}
