import type { StoreCall } from './blob-store.ts';

/** Settings of a bucket that can let everybody in. */
export const BUCKET_SETTINGS = ['policy', 'acl', 'public-access-block'] as const;

/** One of the {@link BUCKET_SETTINGS}. */
export type BucketSetting = (typeof BUCKET_SETTINGS)[number];

/** A request that is tried without a key. */
export type AnonymousRequest =
  | { readonly kind: 'get'; readonly key: string }
  | { readonly kind: 'list' }
  /** Stores an empty object, if the bucket lets it; the caller removes it. */
  | { readonly kind: 'put'; readonly key: string };

/** What came of a request that was tried. */
export interface TriedRequest {
  /** `closed` only after a refusal; `unknown` after no answer or another failure. */
  readonly outcome: 'open' | 'closed' | 'unknown';
  /** For the operator, such as `HTTP 403`. */
  readonly text: string;
}

/**
 * Who can reach a bucket without the service: its settings, and trying. Methods that read or write the bucket reject with
 * STORE_UNAVAILABLE, with a `SetupFault` as its cause if the key may not do it.
 */
export interface BucketAccess {
  /** Name of the bucket. */
  readonly bucket: string;

  /** A setting as text; null if it is not set, undefined if the store does not know it. */
  read(setting: BucketSetting, call?: StoreCall): Promise<string | null | undefined>;

  /** Writes a setting as {@link read} returned it; null removes it. */
  write(setting: BucketSetting, value: string | null, call?: StoreCall): Promise<void>;

  /** The same setting without anything that lets everybody in; others keep their access. */
  closed(setting: BucketSetting, value: string | null): string | null;

  /** True if two values mean the same: stores may write a policy in another form than they got it. */
  isSame(setting: BucketSetting, a: string | null, b: string | null): boolean;

  /** Tries a request without a key, at every address of the bucket. Never rejects, unless aborted. */
  tryAnonymous(request: AnonymousRequest, call?: StoreCall): Promise<TriedRequest>;

  /** Tries to store an empty object with another key; the caller removes it. Never rejects, unless aborted. */
  tryPut(
    key: string,
    credentials: { readonly accessKeyId: string; readonly secretAccessKey: string },
    call?: StoreCall,
  ): Promise<TriedRequest>;

  /** Stores a small object. */
  put(key: string, content: Uint8Array, call?: StoreCall): Promise<void>;

  /**
   * Deletes an object; with an etag only if it still has it.
   *
   * @returns false, without a change, if the object has another etag
   */
  delete(key: string, etag?: string, call?: StoreCall): Promise<boolean>;

  /** Closes connections. */
  close(): void;
}
