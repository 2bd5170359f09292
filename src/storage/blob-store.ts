import type { Readable } from 'node:stream';
import type { BlobBody, BlobHeaders, BlobPart, BlobProperties, BlobRange } from './blob.ts';

/** A blob, or an unfinished multipart blob, in a list. */
export interface ListedBlob {
  readonly key: string;
  /** Size in bytes; 0 if unfinished. */
  readonly sizeBytes: number;
  /** When it was written (unfinished: begun), by the store's clock. */
  readonly modifyTime: Date;
}

/** Which entries of a list to return. */
export interface ListPage {
  /** Prefix of the keys: whole segments, each followed by `/`. */
  readonly prefix: string;
  /** Only keys after this one; default from the first. */
  readonly after?: string;
  /** 1 to 1,000. */
  readonly limit: number;
}

/** Response of a signed URL. */
export interface SignedUrlOptions {
  /** Start of the lifetime, in whole seconds. The URL depends on it and on the other fields. */
  readonly issuedAt: Date;
  /** Lifetime from `issuedAt`, 1 second to 7 days. */
  readonly ttlSeconds: number;
  /** `Content-Type` of the response. */
  readonly contentType: string;
  /** `Content-Disposition` of the response, ASCII (RFC 6266). */
  readonly contentDisposition: string;
  /** `Cache-Control` of the response. */
  readonly cacheControl: string;
  /**
   * Id of the grant, `[A-Za-z0-9_-]+`. The URL has it as `x-grant`, so that access logs show which grant was used.
   */
  readonly grantId: string;
}

/** Lifetime and size of a signed part URL. */
export interface SignedPartOptions extends Pick<SignedUrlOptions, 'issuedAt' | 'ttlSeconds' | 'grantId'> {
  /** Exact size of the part in bytes. */
  readonly sizeBytes: number;
}

/** A URL that permits one request to everybody who has it, for a limited time. */
export interface SignedUrl {
  readonly url: string;
  /** When it expires: `ttlSeconds` after `issuedAt`, or earlier with the credentials that signed it. */
  readonly expireTime: Date;
}

/** Where a caller sends one part. */
export interface SignedPut extends SignedUrl {
  /** Headers to send with the PUT, unchanged. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Options of every call. */
export interface StoreCall {
  /**
   * Ends the call and its request when aborted. The call then rejects with `signal.reason`, and what it was writing
   * is not visible.
   */
  readonly signal?: AbortSignal;
}

/**
 * Stores blobs. These comments are the contract; `test/conformance/blob-store.suite.ts` checks every driver on a
 * real server.
 *
 * - A blob is immutable: created whole or not at all, never overwritten, visible to `read` and `stat` and durable
 *   as soon as `put` or `completeMultipart` resolves.
 * - Keys are ASCII: segments of `[a-z0-9._-]+` joined by `/`, no segment `.` or `..`. A driver refuses other keys
 *   with a TypeError, so that a key cannot leave the store's directory or prefix.
 * - Every method rejects with AssetError STORE_UNAVAILABLE (with `retryAfterMs`) if the store cannot be reached,
 *   has an internal error, or stalls; within 15 seconds if it is down. Before that, the driver retries what is safe
 *   to retry.
 * - Errors never contain a bucket, address or credential, except in `cause`.
 */
export interface BlobStore {
  /** Name of the driver, for logs and health: `s3` or `filesystem`. */
  readonly kind: string;

  /** True if the store keeps the headers of a blob and returns them by its URLs. A store that does not ignores them. */
  readonly keepsHeaders: boolean;

  /** Limits of a multipart blob. All parts except the last have one size within these limits. */
  readonly partLimits: {
    readonly minBytes: number;
    readonly maxBytes: number;
    readonly maxParts: number;
  };

  /**
   * Creates a blob from one body, which may be empty.
   *
   * Resolves with `exists`, without a change, if the key has a blob. Rejects with CHECKSUM_MISMATCH if the bytes do
   * not match the body's crc32c, and with SIZE_MISMATCH if they are more or fewer than its size; then no blob is
   * visible.
   */
  put(
    key: string,
    body: BlobBody,
    properties: BlobProperties,
    call?: StoreCall,
  ): Promise<'created' | 'exists'>;

  /**
   * Begins a blob that is written in parts; returns its multipart id. `bySignedUrl`: all parts will be sent to
   * {@link signPart} URLs, which have no checksums.
   */
  startMultipart(
    key: string,
    properties: BlobProperties & { readonly partSizeBytes: number; readonly bySignedUrl?: boolean },
    call?: StoreCall,
  ): Promise<string>;

  /**
   * Stores one part. Parts may be sent in any order and concurrently; sending a number again replaces the part.
   * Rejects like {@link put} for a wrong checksum or size, and with UPLOAD_EXPIRED if the multipart blob was
   * aborted.
   */
  putPart(
    key: string,
    multipartId: string,
    partNumber: number,
    body: BlobBody,
    call?: StoreCall,
  ): Promise<BlobPart>;

  /**
   * Combines the parts into one blob. `parts` are all parts, numbered from 1 without gaps. Resolves and rejects
   * like {@link put}; completing twice resolves with `exists`. Concurrent calls for one id may all resolve with
   * `created`.
   */
  completeMultipart(
    key: string,
    multipartId: string,
    parts: readonly BlobPart[],
    call?: StoreCall,
  ): Promise<'created' | 'exists'>;

  /**
   * Removes all unfinished multipart blobs and other unfinished data under exactly this key and frees their space.
   * Keeps a finished blob. Resolves also if there is nothing to remove.
   */
  abortMultiparts(key: string, call?: StoreCall): Promise<void>;

  /** Size of a blob in bytes; undefined if there is none. */
  stat(key: string, call?: StoreCall): Promise<{ readonly sizeBytes: number } | undefined>;

  /** The headers that a blob was stored with; none if it has none or does not exist. */
  headersOf(key: string, call?: StoreCall): Promise<BlobHeaders>;

  /**
   * Opens a blob or a range for reading. Rejects with BLOB_MISSING if it does not exist. The stream must be read to
   * its end or destroyed. It fails with STORE_UNAVAILABLE if the store fails meanwhile, and never ends early
   * without an error.
   */
  read(key: string, range?: BlobRange, call?: StoreCall): Promise<Readable>;

  /** Deletes a blob. Resolves also if it does not exist. */
  delete(key: string, call?: StoreCall): Promise<void>;

  /**
   * The store's clock, which may differ from this machine's. `issuedAt` must come from it. Makes no request; until
   * the first response of the store it is this machine's clock.
   */
  now(): Date;

  /**
   * Returns a URL that serves the blob by GET, with byte ranges, until `expireTime`. Equal arguments give equal
   * URLs while the store's credentials are the same. Makes no request: the blob need not exist. Changing any part
   * of the URL gives 403.
   */
  signUrl(key: string, options: SignedUrlOptions): Promise<SignedUrl>;

  /**
   * Returns a URL for sending one part of an unfinished multipart blob by PUT, until `expireTime`. The store
   * refuses a body of another size than `sizeBytes`. Makes no request.
   */
  signPart(
    key: string,
    multipartId: string,
    partNumber: number,
    options: SignedPartOptions,
  ): Promise<SignedPut>;

  /**
   * The stored parts of an unfinished multipart blob, by number, with the tags that {@link putPart} returned; one of the
   * two may put them in quotes. {@link completeMultipart} accepts them as they are. A part that was sent several times is
   * listed as it was sent last; if the store does not tell which was last, it is missing. Rejects with UPLOAD_EXPIRED if
   * it was aborted or completed.
   */
  listParts(key: string, multipartId: string, call?: StoreCall): Promise<readonly BlobPart[]>;

  /**
   * Blobs in byte order of their keys; fewer than `limit` means that there are no more. Only for tools run by hand,
   * because it lists the whole store. Objects whose names are not valid keys are omitted.
   */
  listBlobs(page: ListPage, call?: StoreCall): Promise<readonly ListedBlob[]>;

  /**
   * Keys with unfinished multipart blobs, in the same way; each key once, with the time of its latest. Those begun
   * by a version that did not store the key are omitted.
   */
  listMultiparts(page: ListPage, call?: StoreCall): Promise<readonly ListedBlob[]>;

  /** Resolves within 5 seconds if the store is available. */
  check(call?: StoreCall): Promise<void>;

  /** Closes connections. Call no other method afterwards. */
  close(): Promise<void>;
}
