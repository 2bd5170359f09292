const KEY = /^(?!.*(?:^|\/)\.{1,2}(?:\/|$))[a-z0-9._-]+(?:\/[a-z0-9._-]+)*$/;

/** True if `key` follows the rule of `BlobStore`. */
export function isBlobKey(key: string): boolean {
  return key.length <= 512 && KEY.test(key);
}

/** Throws a TypeError unless `key` follows the rule of `BlobStore`. */
export function assertBlobKey(key: string): void {
  if (!isBlobKey(key)) throw new TypeError('not a blob key');
}

/**
 * The bytes of a blob or part to store.
 *
 * An array of `chunks` can be read again, so a driver may repeat a failed request. An async iterable is read once,
 * and the request is never repeated.
 */
export interface BlobBody {
  /** Exact number of bytes in `chunks`. */
  readonly sizeBytes: number;
  readonly chunks: readonly Uint8Array[] | AsyncIterable<Uint8Array>;
  /** CRC32C of the bytes, as an unsigned 32-bit number. If set, the store verifies it. */
  readonly crc32c?: number;
}

/** HTTP headers stored with a blob beside its media type. Printable ASCII. */
export interface BlobHeaders {
  /** How the bytes are encoded, such as `gzip`: readers of a URL get it with them. */
  readonly contentEncoding?: string;
  readonly contentLanguage?: string;
  readonly contentDisposition?: string;
  readonly cacheControl?: string;
  /** Metadata of users, by names in lower case; at most 1,900 characters together. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Properties stored with a blob. */
export interface BlobProperties {
  /** Media type, ASCII. */
  readonly contentType: string;
  /** Only for a store that keeps them: see `BlobStore.keepsHeaders`. */
  readonly headers?: BlobHeaders;
}

/** One stored part of an unfinished multipart blob. */
export interface BlobPart {
  /** 1 to 10,000. The blob has its parts in the order of their numbers. */
  readonly partNumber: number;
  readonly sizeBytes: number;
  /** The store's opaque identifier of the part. */
  readonly tag: string;
  /** CRC32C of the part, if the caller gave it. */
  readonly crc32c?: number;
}

/** A range of a blob. */
export interface BlobRange {
  /** First byte, from 0. Must be smaller than the size of the blob, unless the blob is empty. */
  readonly offset: number;
  /** Number of bytes; default, and maximum, up to the end of the blob. */
  readonly length?: number;
}
