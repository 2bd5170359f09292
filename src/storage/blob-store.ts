import type { Readable } from 'node:stream';

/**
 * Bytes on their way into the store.
 *
 * `chunks` given as an array can be read again, so a driver may repeat a failed request; an async
 * iterable is read once and never repeated.
 */
export interface BlobBody {
  /** Exact number of bytes in `chunks`. */
  readonly sizeBytes: number;
  readonly chunks: readonly Uint8Array[] | AsyncIterable<Uint8Array>;
  /** CRC32C of the bytes, as an unsigned 32-bit number. Where given, the store verifies it. */
  readonly crc32c?: number;
}

/** What is kept with a blob. */
export interface BlobProperties {
  /** Media type, ASCII. */
  readonly contentType: string;
}

/** One stored part of an unfinished multipart blob. */
export interface BlobPart {
  /** 1 to 10,000. Parts stand in the blob in the order of their numbers. */
  readonly partNumber: number;
  readonly sizeBytes: number;
  /** What the store knows the part by; opaque. */
  readonly tag: string;
  /** CRC32C of the part, where the caller gave it. */
  readonly crc32c?: number;
}

/** A blob, or an unfinished multipart blob, as a list names it. */
export interface ListedBlob {
  readonly key: string;
  /** Size in bytes; 0 for what is unfinished. */
  readonly sizeBytes: number;
  /** When it was written, or begun where it is unfinished, by the clock of the store. */
  readonly modifyTime: Date;
}

/** Which entries of a list are asked for. */
export interface ListPage {
  /** What the keys begin with: whole segments, each followed by `/`. */
  readonly prefix: string;
  /** Only keys that stand behind this one. From the first where left out. */
  readonly after?: string;
  /** 1 to 1,000. */
  readonly limit: number;
}

/** A stretch of a blob. */
export interface BlobRange {
  /** First byte, from 0. Must be smaller than the size of the blob, unless the blob is empty. */
  readonly offset: number;
  /** Number of bytes; up to the end of the blob where left out or past it. */
  readonly length?: number;
}

/** What a signed URL answers with. */
export interface SignedUrlOptions {
  /** When the lifetime starts. A whole second; it decides the URL together with the other fields. */
  readonly issuedAt: Date;
  /** Lifetime from `issuedAt`, 1 second to 7 days. */
  readonly ttlSeconds: number;
  /** `Content-Type` of the answer. */
  readonly contentType: string;
  /** `Content-Disposition` of the answer, ASCII (RFC 6266). */
  readonly contentDisposition: string;
  /** `Cache-Control` of the answer. */
  readonly cacheControl: string;
  /** Name of the grant, `[A-Za-z0-9_-]+`: the URL shows it as `x-grant`, so that access logs tell which one was used. */
  readonly grantId: string;
}

/** When and how the URL of a part may be used. */
export interface SignedPartOptions extends Pick<SignedUrlOptions, 'issuedAt' | 'ttlSeconds' | 'grantId'> {
  /** Exact size of the part in bytes. */
  readonly sizeBytes: number;
}

/** A URL that lets whoever has it do one thing for a while. */
export interface SignedUrl {
  readonly url: string;
  /** When it ends: `ttlSeconds` after `issuedAt`, or earlier where the credentials that signed it end. */
  readonly expireTime: Date;
}

/** Where a caller sends one part by itself. */
export interface SignedPut extends SignedUrl {
  /** Headers that have to be sent with the PUT, as they are. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Options that every call to the store takes. */
export interface StoreCall {
  /**
   * Ends the call, and the request behind it, as soon as it is aborted. The call then rejects with
   * `signal.reason`, and what it was writing is not visible.
   */
  readonly signal?: AbortSignal;
}

/**
 * Where blobs lie. The comments here are the contract; `test/conformance/blob-store.suite.ts` holds
 * every driver to it on a real server.
 *
 * - A blob is immutable: created whole or not at all, never overwritten, visible to `read` and `stat` from the
 *   moment that `put` or `completeMultipart` resolves, and durable from then on.
 * - Keys are ASCII: segments of `[a-z0-9._-]+` joined by `/`, no segment `.` or `..`. A driver
 *   refuses any other key with a TypeError, so that a key can never leave the store's own place.
 * - Every method rejects with AssetError STORE_UNAVAILABLE (with `retryAfterMs`) if the store
 *   cannot be reached, answers with a fault of its own, or stalls; within 15 seconds if it is down.
 *   The driver repeats what is safe to repeat before that.
 * - A method never rejects with anything that tells a bucket, an address or a credential, except as `cause`.
 */
export interface BlobStore {
  /** Name of the driver, for logs and health: `s3` or `filesystem`. */
  readonly kind: string;

  /** Bounds of a multipart blob. All parts but the last have one size, within these. */
  readonly partLimits: {
    readonly minBytes: number;
    readonly maxBytes: number;
    readonly maxParts: number;
  };

  /**
   * Creates a blob from a body that is written in one go. Empty bodies are allowed.
   *
   * Resolves with `exists`, and changes nothing, if there is a blob under the key already. Rejects with
   * CHECKSUM_MISMATCH if the bytes do not have the body's crc32c, and with SIZE_MISMATCH if they are
   * more or fewer than its size; no blob is visible then.
   */
  put(
    key: string,
    body: BlobBody,
    properties: BlobProperties,
    call?: StoreCall,
  ): Promise<'created' | 'exists'>;

  /**
   * Begins a blob that is written in parts, and returns the id that its parts are sent under. `bySignedUrl` says
   * that all parts will come by {@link signPart}, which brings no checksums.
   */
  startMultipart(
    key: string,
    properties: BlobProperties & { readonly partSizeBytes: number; readonly bySignedUrl?: boolean },
    call?: StoreCall,
  ): Promise<string>;

  /**
   * Stores one part; parts may be sent in any order and at once. Sending a number again
   * replaces the part. Rejects like {@link put} on a wrong checksum or size, and with
   * UPLOAD_EXPIRED if the multipart blob was aborted.
   */
  putPart(
    key: string,
    multipartId: string,
    partNumber: number,
    body: BlobBody,
    call?: StoreCall,
  ): Promise<BlobPart>;

  /**
   * Makes the parts one blob. `parts` are all of them, numbered from 1 without a gap. Resolves and rejects like
   * {@link put}; completing what was completed already resolves with `exists`. Calls for one id that
   * race may each resolve with `created`.
   */
  completeMultipart(
    key: string,
    multipartId: string,
    parts: readonly BlobPart[],
    call?: StoreCall,
  ): Promise<'created' | 'exists'>;

  /**
   * Drops every unfinished multipart blob, and anything else unfinished, under exactly this key; frees
   * what its parts take. Leaves a finished blob alone. Resolves too if there is nothing to drop.
   */
  abortMultiparts(key: string, call?: StoreCall): Promise<void>;

  /** Size of a blob in bytes; undefined if there is none. */
  stat(key: string, call?: StoreCall): Promise<{ readonly sizeBytes: number } | undefined>;

  /**
   * Opens a blob, or a stretch of it, for reading. Rejects with BLOB_MISSING if there is none. The
   * stream must be read to its end or destroyed; if the store goes away in the middle it fails with
   * STORE_UNAVAILABLE. It never ends early without failing.
   */
  read(key: string, range?: BlobRange, call?: StoreCall): Promise<Readable>;

  /** Removes a blob. Resolves too if there is none. */
  delete(key: string, call?: StoreCall): Promise<void>;

  /**
   * The time that signed URLs live by: that of the store, which may be another than that of this machine. `issuedAt` is
   * taken from it. Makes no request, so until the first answer of the store it is the time of this machine.
   */
  now(): Date;

  /**
   * Returns a URL that serves the blob by GET, with byte ranges, until its `expireTime`. Equal arguments
   * give equal URLs, as long as the credentials of the store stay the same. Makes no request: the blob need not
   * exist. Changing any part of the URL makes it useless (403).
   */
  signUrl(key: string, options: SignedUrlOptions): Promise<SignedUrl>;

  /**
   * Returns a URL to which one part of an unfinished multipart blob is sent by PUT, until its `expireTime`.
   * The store refuses a body that does not have exactly `sizeBytes` bytes. Makes no request.
   */
  signPart(
    key: string,
    multipartId: string,
    partNumber: number,
    options: SignedPartOptions,
  ): Promise<SignedPut>;

  /**
   * The parts of an unfinished multipart blob that are stored, by number. Rejects with UPLOAD_EXPIRED if it was
   * aborted or completed.
   */
  listParts(key: string, multipartId: string, call?: StoreCall): Promise<readonly BlobPart[]>;

  /**
   * Blobs by their keys, in the order of the bytes of these; fewer than `limit` means that there are no more. For work by
   * hand: it reads all that lies in the store. Whatever has no key of ours, such as an object that others put there under a
   * name that is no key, is left out.
   */
  listBlobs(page: ListPage, call?: StoreCall): Promise<readonly ListedBlob[]>;

  /**
   * Keys under which there are unfinished multipart blobs, in the same manner; each once, with the time of the latest. What
   * was begun by a version that did not write the key down is left out.
   */
  listMultiparts(page: ListPage, call?: StoreCall): Promise<readonly ListedBlob[]>;

  /** Resolves if the store can be reached and used, within 5 seconds. */
  check(call?: StoreCall): Promise<void>;

  /** Lets go of connections. No other method may be called after it. */
  close(): Promise<void>;
}

const KEY = /^(?!.*(?:^|\/)\.{1,2}(?:\/|$))[a-z0-9._-]+(?:\/[a-z0-9._-]+)*$/;

/** True if `key` obeys the rule of {@link BlobStore}. */
export function isBlobKey(key: string): boolean {
  return key.length <= 512 && KEY.test(key);
}

/** Throws a TypeError unless `key` obeys the rule of {@link BlobStore}. */
export function assertBlobKey(key: string): void {
  if (!isBlobKey(key)) throw new TypeError('not a blob key');
}
