import { LRUCache } from 'lru-cache';
import { isVariantProblem, type VariantProblem } from '../errors/variants.ts';
import { derivedKey } from '../files/bytes.ts';
import type { VariantDefinition } from '../files/policy/variant-definition.ts';
import {
  failureName,
  renditionName,
  resultsOf,
  THUMBHASH,
  type RenditionFormat,
  type WantedFormat,
} from '../files/renditions.ts';
import { readWhole } from '../storage/blob-reads.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import { crc32c } from '../files/upload/crc32c.ts';

/** A rendition in the store. */
export interface StoredRendition {
  readonly key: string;
  readonly format: RenditionFormat;
  readonly sizeBytes: number;
}

/** The record of a variant that could not be made. */
export interface VariantFailure {
  readonly fileId: string;
  readonly problem: VariantProblem;
  /** For operators: what the decoder said. */
  readonly detail: string;
  readonly definition: VariantDefinition;
  readonly format: WantedFormat;
  /** ISO 8601. */
  readonly time: string;
  /** What decided it besides the file: versions and limits. With another one it is tried again. */
  readonly engine: string;
}

/** Maximum number of results to remember, and for how long, in milliseconds. */
const REMEMBERED = { max: 10_000, ttl: 60_000 };

/** How long to remember that a file has no thumbhash, in milliseconds. */
const NO_HASH_MS = 5_000;

/** Renditions, failures and thumbhashes in the blob store, beside the originals. */
export class RenditionStore {
  readonly #store: BlobStore;
  readonly #engine: () => string;
  readonly #known = new LRUCache<string, StoredRendition | VariantProblem>(REMEMBERED);
  readonly #hashes = new LRUCache<string, Uint8Array<ArrayBuffer>>(REMEMBERED);

  /** @param engine - see {@link VariantFailure} */
  constructor(store: BlobStore, engine: () => string) {
    this.#store = store;
    this.#engine = engine;
  }

  /** What there is of a variant in a format: a rendition, or why it cannot be made; undefined if it was not tried. */
  async find(
    fileId: string,
    definition: VariantDefinition,
    wanted: WantedFormat,
    signal: AbortSignal,
  ): Promise<StoredRendition | VariantProblem | undefined> {
    const failureKey = derivedKey(failureName(definition, wanted), fileId);
    const known = this.#known.get(failureKey);
    if (known !== undefined) return known;
    const found =
      (await this.#rendition(fileId, definition, wanted, signal)) ??
      (await this.#failure(failureKey, signal));
    if (found !== undefined) this.#known.set(failureKey, found);
    return found;
  }

  /** Stores a rendition. One that was stored meanwhile stays. */
  async put(
    fileId: string,
    definition: VariantDefinition,
    made: { readonly format: RenditionFormat; readonly bytes: Buffer },
    signal: AbortSignal,
  ): Promise<void> {
    const key = derivedKey(renditionName(definition, made.format), fileId);
    await this.#put(key, made.bytes, `image/${made.format}`, signal);
  }

  /** Stores the thumbhash of a file. */
  async putThumbhash(fileId: string, hash: Uint8Array, signal: AbortSignal): Promise<void> {
    await this.#put(derivedKey(THUMBHASH, fileId), Buffer.from(hash), 'application/octet-stream', signal);
    this.#hashes.set(fileId, new Uint8Array(hash));
  }

  /** Records that a variant cannot be made. */
  async putFailure(failure: Omit<VariantFailure, 'engine' | 'time'>, signal: AbortSignal): Promise<void> {
    const record: VariantFailure = { ...failure, time: new Date().toISOString(), engine: this.#engine() };
    const key = derivedKey(failureName(failure.definition, failure.format), failure.fileId);
    await this.#put(key, Buffer.from(JSON.stringify(record)), 'application/json', signal);
  }

  /** The thumbhash of a file, if it was made. */
  async thumbhash(fileId: string, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const known = this.#hashes.get(fileId);
    if (known !== undefined) return known.length > 0 ? known : undefined;
    const bytes = await readWhole(this.#store, derivedKey(THUMBHASH, fileId), { signal });
    const hash = new Uint8Array(bytes ?? []);
    this.#hashes.set(fileId, hash, { ttl: bytes === undefined ? NO_HASH_MS : REMEMBERED.ttl });
    return bytes === undefined ? undefined : hash;
  }

  async #rendition(
    fileId: string,
    definition: VariantDefinition,
    wanted: WantedFormat,
    signal: AbortSignal,
  ): Promise<StoredRendition | undefined> {
    for (const format of resultsOf(wanted)) {
      const key = derivedKey(renditionName(definition, format), fileId);
      const stat = await this.#store.stat(key, { signal });
      if (stat !== undefined) return { key, format, sizeBytes: stat.sizeBytes };
    }
    return undefined;
  }

  /** The problem of a failure record that still counts. One of another engine is removed. */
  async #failure(key: string, signal: AbortSignal): Promise<VariantProblem | undefined> {
    const bytes = await readWhole(this.#store, key, { signal });
    const failure = bytes && parseFailure(bytes);
    if (failure?.engine === this.#engine()) return failure.problem;
    if (bytes !== undefined) await this.#store.delete(key, { signal });
    return undefined;
  }

  async #put(key: string, bytes: Buffer, contentType: string, signal: AbortSignal): Promise<void> {
    const body = { sizeBytes: bytes.length, chunks: [bytes], crc32c: crc32c(bytes) };
    await this.#store.put(key, body, { contentType }, { signal });
  }
}

/** The record in the bytes of a blob; undefined if they are none of this version. */
export function parseFailure(bytes: Buffer): VariantFailure | undefined {
  try {
    const value = JSON.parse(bytes.toString()) as VariantFailure;
    return isVariantProblem(value.problem) ? value : undefined;
  } catch {
    return undefined;
  }
}
