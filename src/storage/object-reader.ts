import type { Readable } from 'node:stream';
import type { BlobHeaders, BlobRange } from './blob.ts';
import type { SignedUrl, SignedUrlOptions, StoreCall } from './blob-store.ts';

/** An object of a bucket that is not the service's own. */
export interface ObjectInfo {
  readonly sizeBytes: number;
  /** Identifies the bytes: other bytes under the same key have another etag. */
  readonly etag: string;
  /** Stored media type with its parameters; empty if there is none. */
  readonly contentType: string;
  /** Further headers of the object that another store can keep. */
  readonly headers: BlobHeaders;
}

/** An object in a list. */
export interface ListedObject {
  readonly key: string;
  readonly sizeBytes: number;
  readonly etag: string;
  /** When it was written, by the store's clock, in whole seconds or finer. */
  readonly modifyTime: Date;
}

/** Checksums of a whole object that the store knows, as lower-case hexadecimal. */
export interface ObjectChecksums {
  readonly md5?: string;
  readonly sha1?: string;
  readonly sha256?: string;
  readonly crc32c?: string;
}

type Openness = 'open' | 'closed' | 'unknown';

/** Who can access a bucket without credentials. */
export interface PublicAccess {
  /** `open` if the bucket's policy permits everybody anything; `unknown` if it cannot be read. */
  readonly policy: Openness;
  readonly acl: Openness;
  /** Result of reading an object without credentials; `unknown` if there is no object. */
  readonly anonymousGet: Openness;
  /** Result of listing the bucket without credentials. */
  readonly anonymousList: Openness;
}

/**
 * Reads a bucket that other programs write. Keys may have any form; nothing is written. Every method rejects with
 * STORE_UNAVAILABLE if the bucket cannot be reached; that never counts as a missing object.
 */
export interface ObjectReader {
  /** Properties of an object; undefined if it does not exist. */
  stat(key: string, call?: StoreCall): Promise<ObjectInfo | undefined>;

  /** The checksums that the store has of an object; none if it has none, or the object is gone. */
  checksums(key: string, call?: StoreCall): Promise<ObjectChecksums>;

  /** Opens an object. Rejects with BLOB_MISSING if it does not exist or has another etag. */
  read(key: string, etag: string, range?: BlobRange, call?: StoreCall): Promise<Readable>;

  /** Signs a URL for GET; see `BlobStore.signUrl`. */
  signUrl(key: string, options: SignedUrlOptions): Promise<SignedUrl>;

  /** The next objects after a key, at most 1,000; none if there are no more. */
  list(after: string, call?: StoreCall): Promise<readonly ListedObject[]>;

  /**
   * Determines who can access the bucket without credentials, from its settings and by requests without credentials.
   *
   * @param sampleKey - an existing object to read; undefined if there is none
   */
  publicAccess(sampleKey: string | undefined, call?: StoreCall): Promise<PublicAccess>;

  /** The clock for the lifetime of signed URLs; see `BlobStore.now`. */
  now(): Date;

  /** Resolves within 5 seconds if the bucket can be read. */
  check(call?: StoreCall): Promise<void>;

  /** Releases connections. */
  close(): void;
}
