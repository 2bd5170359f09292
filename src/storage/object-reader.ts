import type { Readable } from 'node:stream';
import type { BlobHeaders, BlobRange } from './blob.ts';
import type { SignedUrl, SignedUrlOptions, StoreCall } from './blob-store.ts';

/** An object of a bucket that is not the service's own. */
export interface ObjectInfo {
  readonly sizeBytes: number;
  /** Names these bytes: other bytes under the same key have another one. */
  readonly etag: string;
  /** Media type with its parameters, as it was stored; empty if none was. */
  readonly contentType: string;
  /** Further headers of the object that another store can keep. */
  readonly headers: BlobHeaders;
}

/** An object as a list names it. */
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

/** Who can read a bucket without a key. */
export interface PublicAccess {
  /** Whether the policy of the bucket lets everybody do something; unknown where it cannot be read. */
  readonly policy: Openness;
  readonly acl: Openness;
  /** What came of reading an object without a key; unknown where there is none. */
  readonly anonymousGet: Openness;
  /** What came of listing the bucket without a key. */
  readonly anonymousList: Openness;
}

/**
 * Reads a bucket that others fill: any key, as it is, and nothing is ever written. Every method rejects with
 * STORE_UNAVAILABLE if the bucket cannot be reached, and never takes that for an object that is missing.
 */
export interface ObjectReader {
  /** What is known of an object; undefined if the bucket says that there is none. */
  stat(key: string, call?: StoreCall): Promise<ObjectInfo | undefined>;

  /** The checksums that the store has of an object; none if it has none, or the object is gone. */
  checksums(key: string, call?: StoreCall): Promise<ObjectChecksums>;

  /** Opens an object. Rejects with BLOB_MISSING if it is gone, or is not the one of this etag any more. */
  read(key: string, etag: string, range?: BlobRange, call?: StoreCall): Promise<Readable>;

  /** Signs a URL for GET; see `BlobStore.signUrl`. */
  signUrl(key: string, options: SignedUrlOptions): Promise<SignedUrl>;

  /** The next objects behind a key, in the order of the list; at most 1,000. None mean that there are no more. */
  list(after: string, call?: StoreCall): Promise<readonly ListedObject[]>;

  /**
   * Finds out who can read the bucket without a key, by its settings and by trying.
   *
   * @param sampleKey - an object to try with; undefined where there is none
   */
  publicAccess(sampleKey: string | undefined, call?: StoreCall): Promise<PublicAccess>;

  /** The time that signed URLs live by; see `BlobStore.now`. */
  now(): Date;

  /** Resolves if the bucket can be reached and read, within 5 seconds. */
  check(call?: StoreCall): Promise<void>;

  /** Releases connections. */
  close(): void;
}
