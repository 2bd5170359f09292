import { LRUCache } from 'lru-cache';
import type { Readable } from 'node:stream';
import { isAssetError } from '../../errors/asset-error.ts';
import { DERIVED_PREFIX } from '../../files/bytes.ts';
import { storeUnavailable } from '../../errors/dependencies.ts';
import { uploadExpired } from '../../errors/uploads.ts';
import type { BlobBody, BlobHeaders, BlobPart, BlobProperties, BlobRange } from '../../storage/blob.ts';
import type {
  BlobStore,
  ListedBlob,
  ListPage,
  SignedPartOptions,
  SignedPut,
  SignedUrl,
  SignedUrlOptions,
  StoreCall,
} from '../../storage/blob-store.ts';
import { inAll, mergedPage } from './several-stores.ts';
import type { NamedStores, RowView } from './row-view.ts';

/** Keys and multipart ids whose store is remembered. */
const REMEMBERED = 10_000;

/**
 * Two stores as one, while files move between them. New blobs go to the active one. A blob is looked for in the active one,
 * then in the other; only if both say that they lack it, it does not exist. A blob is deleted in both. What was begun in
 * one, such as a multipart blob, ends there.
 *
 * What is derived from files is not moved, so it is looked for in the active store alone: it is made again there, and
 * nobody gets a URL of a copy that `retire` removes.
 */
export class MovingStore implements BlobStore {
  readonly #view: RowView;
  readonly #stores: Required<NamedStores>;
  /** Keys that are known to be in a store. */
  readonly #there = new LRUCache<string, BlobStore>({ max: REMEMBERED, ttl: 60_000 });
  /** Where multipart blobs were begun. */
  readonly #begun = new LRUCache<string, BlobStore>({ max: REMEMBERED });

  constructor(stores: Required<NamedStores>, view: RowView) {
    [this.#stores, this.#view] = [stores, view];
  }

  get kind(): string {
    return this.#active.kind;
  }

  get keepsHeaders(): boolean {
    return this.#active.keepsHeaders;
  }

  /** What both accept: an upload that is begun now may get its parts after the switch. */
  get partLimits(): BlobStore['partLimits'] {
    const [one, two] = [this.#stores.own.partLimits, this.#stores.next.partLimits];
    return {
      minBytes: Math.max(one.minBytes, two.minBytes),
      maxBytes: Math.min(one.maxBytes, two.maxBytes),
      maxParts: Math.min(one.maxParts, two.maxParts),
    };
  }

  async put(
    key: string,
    body: BlobBody,
    properties: BlobProperties,
    call?: StoreCall,
  ): Promise<'created' | 'exists'> {
    const [active, other] = await this.#forWrite();
    if (this.#mayHaveOthers && !isDerived(key) && (await other.stat(key, call))) return 'exists';
    return active.put(key, body, properties, call);
  }

  async startMultipart(
    key: string,
    properties: Parameters<BlobStore['startMultipart']>[1],
    call?: StoreCall,
  ): Promise<string> {
    const [active] = await this.#forWrite();
    const id = await active.startMultipart(key, properties, call);
    this.#begun.set(id, active);
    return id;
  }

  async putPart(
    key: string,
    multipartId: string,
    partNumber: number,
    body: BlobBody,
    call?: StoreCall,
  ): Promise<BlobPart> {
    const store = await this.#beganIn(key, multipartId, call);
    return store.putPart(key, multipartId, partNumber, body, call);
  }

  async completeMultipart(
    key: string,
    multipartId: string,
    parts: readonly BlobPart[],
    call?: StoreCall,
  ): Promise<'created' | 'exists'> {
    // An earlier call may have completed it, and the blob may have been copied since.
    if (this.#mayHaveOthers && (await this.stat(key, call))) return 'exists';
    const store = await this.#beganIn(key, multipartId, call);
    return store.completeMultipart(key, multipartId, parts, call);
  }

  async abortMultiparts(key: string, call?: StoreCall): Promise<void> {
    const stores = this.#mayHaveOthers ? this.#inOrder : [this.#active];
    await inAll(stores, (store) => store.abortMultiparts(key, call));
  }

  async stat(key: string, call?: StoreCall): Promise<{ readonly sizeBytes: number } | undefined> {
    this.#assertRight();
    for (const store of this.#placesOf(key)) {
      const found = await store.stat(key, call);
      if (found) return found;
    }
    return undefined;
  }

  async headersOf(key: string, call?: StoreCall): Promise<BlobHeaders> {
    this.#assertRight();
    for (const store of this.#placesOf(key)) {
      const headers = await store.headersOf(key, call);
      if (Object.keys(headers).length > 0) return headers;
    }
    return {};
  }

  async read(key: string, range?: BlobRange, call?: StoreCall): Promise<Readable> {
    this.#assertRight();
    const [active, other] = this.#placesOf(key);
    try {
      return await active.read(key, range, call);
    } catch (error) {
      if (other === undefined || !isAssetError(error, 'BLOB_MISSING')) throw error;
    }
    return other.read(key, range, call);
  }

  async delete(key: string, call?: StoreCall): Promise<void> {
    this.#assertRight();
    this.#there.delete(key);
    await inAll(this.#inOrder, (store) => store.delete(key, call));
  }

  now(): Date {
    return this.#active.now();
  }

  async signUrl(key: string, options: SignedUrlOptions): Promise<SignedUrl> {
    this.#assertRight();
    const [active, other] = this.#placesOf(key);
    // Before the first switch the active store has everything.
    if (!this.#mayHaveOthers || other === undefined || this.#there.get(key) === active)
      return active.signUrl(key, options);
    if ((await active.stat(key)) !== undefined) this.#there.set(key, active);
    else if ((await other.stat(key)) !== undefined) return other.signUrl(key, options);
    return active.signUrl(key, options);
  }

  async signPart(
    key: string,
    multipartId: string,
    partNumber: number,
    options: SignedPartOptions,
  ): Promise<SignedPut> {
    const store = await this.#beganIn(key, multipartId);
    return store.signPart(key, multipartId, partNumber, options);
  }

  async listParts(key: string, multipartId: string, call?: StoreCall): Promise<readonly BlobPart[]> {
    const store = await this.#beganIn(key, multipartId, call);
    return store.listParts(key, multipartId, call);
  }

  listBlobs(page: ListPage, call?: StoreCall): Promise<readonly ListedBlob[]> {
    return mergedPage(this.#inOrder, page, (store) => store.listBlobs(page, call));
  }

  listMultiparts(page: ListPage, call?: StoreCall): Promise<readonly ListedBlob[]> {
    return mergedPage(this.#inOrder, page, (store) => store.listMultiparts(page, call));
  }

  async check(call?: StoreCall): Promise<void> {
    await this.#view.refresh().catch((error: unknown) => {
      // The catalog has a health of its own.
      if (isAssetError(error, 'STORE_UNAVAILABLE')) throw error;
    });
    this.#assertRight();
    await this.#active.check(call);
  }

  async close(): Promise<void> {
    await this.#view.close();
    await inAll(this.#inOrder, (store) => store.close());
  }

  get #inOrder(): readonly [BlobStore, BlobStore] {
    const { own, next } = this.#stores;
    return this.#view.nextIsActive ? [next, own] : [own, next];
  }

  get #active(): BlobStore {
    return this.#inOrder[0];
  }

  /** Where a blob may be, the active store first. */
  #placesOf(key: string): readonly [BlobStore, ...BlobStore[]] {
    return isDerived(key) ? [this.#active] : this.#inOrder;
  }

  /** True if the other store may have what the active one lacks, besides what nobody knows to be damaged. */
  get #mayHaveOthers(): boolean {
    return !this.#view.isFresh || (this.#view.row?.switched ?? false);
  }

  /** Both stores, the active one first, by a row that is fresh. */
  async #forWrite(): Promise<readonly [BlobStore, BlobStore]> {
    await this.#view.refresh();
    this.#assertRight();
    return this.#inOrder;
  }

  #assertRight(): void {
    if (this.#view.mistake !== undefined) throw storeUnavailable(new Error(this.#view.mistake));
  }

  /** The store in which a multipart blob was begun. */
  async #beganIn(key: string, multipartId: string, call?: StoreCall): Promise<BlobStore> {
    this.#assertRight();
    const known = this.#begun.get(multipartId);
    if (known) return known;
    if (!this.#mayHaveOthers) return this.#active;
    for (const store of this.#inOrder) {
      try {
        await store.listParts(key, multipartId, call);
      } catch (error) {
        if (isAssetError(error, 'UPLOAD_EXPIRED')) continue;
        throw error;
      }
      this.#begun.set(multipartId, store);
      return store;
    }
    throw uploadExpired();
  }
}

function isDerived(key: string): boolean {
  return key.startsWith(DERIVED_PREFIX);
}
