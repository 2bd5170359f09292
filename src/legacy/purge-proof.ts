import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { FileRecord } from '../catalog/file-catalog.ts';
import { isAssetError } from '../errors/asset-error.ts';
import { readBytes } from '../files/bytes.ts';
import type { OldSystem } from './old-system.ts';
import type { JudgedObject } from './purge-plan.ts';

/** Result of comparing bytes with records, and the ETag of the original that was read. */
export interface Proven {
  readonly outcome: 'proven' | 'differs' | 'unproven';
  /** Undefined if no original was read. */
  readonly etag?: string;
}

/** Proves, before an original is deleted, that its bytes are those of the records of its files. */
export class CopyProofs {
  readonly #system: OldSystem;
  readonly #isFull: boolean;
  readonly #signal: AbortSignal;
  /** By key of the original. */
  readonly #proofs = new Map<string, Promise<Proven>>();

  /** @param isFull - true to read the copies too */
  constructor(system: OldSystem, isFull: boolean, signal: AbortSignal) {
    [this.#system, this.#isFull, this.#signal] = [system, isFull, signal];
  }

  /**
   * The proof for an object. An original and its thumbs share one: the original is read before any of them is deleted.
   */
  of(judged: JudgedObject): Promise<Proven> {
    const known = this.#proofs.get(judged.originalKey) ?? this.#prove(judged);
    this.#proofs.set(judged.originalKey, known);
    return known;
  }

  /** Forgets all proofs. */
  clear(): void {
    this.#proofs.clear();
  }

  async #prove({ files, originalKey }: JudgedObject): Promise<Proven> {
    const { bucket, store } = this.#system;
    const signal = this.#signal;
    if (this.#isFull) {
      for (const file of files) {
        const digest = await digestOf(() => readBytes(store, file.id, { signal }));
        if (!isDigestOf(file, digest)) return { outcome: 'unproven' };
      }
    }
    const info = await bucket.reader.stat(originalKey, { signal });
    // An earlier run deleted the original, but not all its thumbs.
    if (info === undefined) return { outcome: 'proven' };
    const digest = await digestOf(() => bucket.reader.read(originalKey, info.etag, undefined, { signal }));
    const isSame = files.every((file) => isDigestOf(file, digest));
    return isSame ? { outcome: 'proven', etag: info.etag } : { outcome: 'differs' };
  }
}

/** SHA-256 of the content; undefined if it is missing, or was replaced while it was read. */
async function digestOf(open: () => Promise<Readable>): Promise<Buffer | undefined> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of await open()) hash.update(chunk as Uint8Array);
  } catch (error) {
    if (isAssetError(error, 'BLOB_MISSING')) return undefined;
    throw error;
  }
  return hash.digest();
}

function isDigestOf({ sha256 }: FileRecord, digest: Buffer | undefined): boolean {
  return sha256 !== undefined && digest !== undefined && digest.equals(sha256);
}
