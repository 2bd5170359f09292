import type { FileRecord } from '../catalog/file-catalog.ts';
import { isAssetError, type AssetError } from '../errors/asset-error.ts';
import { storeUnavailable } from '../errors/dependencies.ts';
import { blobKey } from '../files/bytes.ts';
import { Digest, summed } from '../files/upload/checksums.ts';
import { writeBlob } from '../files/upload/write-blob.ts';
import type { BlobProperties } from '../storage/blob.ts';
import type { BlobStore } from '../storage/blob-store.ts';
import type { MemoryShare } from '../storage/memory-share.ts';
import type { ObjectCopier } from '../storage/object-copier.ts';
import type { ObjectInfo, ObjectReader } from '../storage/object-reader.ts';
import { propertiesOf } from './headers.ts';

/** Dependencies of {@link BytesCopy}. */
export interface CopyTools {
  readonly reader: ObjectReader;
  readonly store: BlobStore;
  /** Copies within the server; undefined where the buckets are on different ones. */
  readonly copier: ObjectCopier | undefined;
  /** Memory and part size of copies that go through this process. */
  readonly budget: MemoryShare;
  readonly partSizeBytes: number;
  /** Called once if the store refuses to copy; from then on the bytes go through this process. */
  readonly onStreaming: () => void;
}

/** Size and checksums of the stored copy, or why the old bucket did not return the bytes. */
export type CopiedBytes =
  | (ReturnType<Digest['finish']> & { readonly way: 'server-side' | 'streamed' })
  | { readonly unreadable: string };

/** Attempts per file: a killed run may have left a copy, which is removed first. */
const ATTEMPTS = 3;

/**
 * Copies the bytes of old files to the store of the service: within the server if possible, otherwise through this
 * process.
 */
export class BytesCopy {
  readonly #tools: CopyTools;
  #copier: ObjectCopier | undefined;

  constructor(tools: CopyTools) {
    this.#tools = tools;
    this.#copier = tools.copier;
  }

  /**
   * Copies one object under the key of its file. The checksums are those of the bytes in the store of the service.
   *
   * @throws AssetError STORE_UNAVAILABLE of the store of the service
   */
  async copy(
    file: FileRecord,
    { key: from, info }: { readonly key: string; readonly info: ObjectInfo },
    signal: AbortSignal,
  ): Promise<CopiedBytes> {
    const { store } = this.#tools;
    const key = blobKey(file.id);
    const properties = propertiesOf(file, info);
    for (let attempt = 1; ; attempt++) {
      const copied =
        this.#copier === undefined
          ? await this.#stream(key, from, info, properties, signal)
          : await this.#copyWithin(this.#copier, key, from, info, properties, signal);
      if (copied === 'refused') {
        if (this.#copier !== undefined) this.#tools.onStreaming();
        this.#copier = undefined;
        continue;
      }
      if (copied !== 'exists') return copied;
      // A killed run left a copy before it wrote the record: its content is unknown.
      if (attempt >= ATTEMPTS) throw storeUnavailable(new Error('a copy of another run is in the way'));
      await store.delete(key, { signal });
    }
  }

  async #copyWithin(
    copier: ObjectCopier,
    key: string,
    from: string,
    { etag, sizeBytes }: ObjectInfo,
    properties: BlobProperties,
    signal: AbortSignal,
  ): Promise<CopiedBytes | 'exists' | 'refused'> {
    try {
      const status = await copier.copy(key, { key: from, etag, sizeBytes }, properties, { signal });
      if (status !== 'created') return status;
    } catch (error) {
      if (!isAssetError(error, 'BLOB_MISSING')) throw error;
      return { unreadable: reasonOf(error) };
    }
    const digest = new Digest();
    for await (const chunk of await this.#tools.store.read(key, undefined, { signal })) {
      digest.update(summed(chunk as Uint8Array));
    }
    if (digest.sizeBytes !== sizeBytes) throw storeUnavailable(new Error('the copy has another size'));
    return { ...digest.finish(), way: 'server-side' };
  }

  async #stream(
    key: string,
    from: string,
    { etag, sizeBytes }: ObjectInfo,
    properties: BlobProperties,
    signal: AbortSignal,
  ): Promise<CopiedBytes | 'exists'> {
    const { reader, store, budget, partSizeBytes } = this.#tools;
    let failure: unknown;
    const read = async function* () {
      try {
        for await (const chunk of await reader.read(from, etag, undefined, { signal }))
          yield chunk as Uint8Array;
      } catch (error) {
        failure = error;
        throw error;
      }
    };
    try {
      const options = { ...properties, sizeBytes, partSizeBytes, budget, signal };
      const { status, ...bytes } = await writeBlob(store, key, read(), options);
      return status === 'created' ? { ...bytes, way: 'streamed' } : 'exists';
    } catch (error) {
      if (failure === undefined || !isAssetError(failure, 'STORE_UNAVAILABLE', 'BLOB_MISSING')) throw error;
      return { unreadable: reasonOf(failure) };
    }
  }
}

/** Why the old bucket did not return an object, as text for the report. */
export function reasonOf(error: AssetError): string {
  return error.reason === 'BLOB_MISSING'
    ? 'the object was replaced while it was read'
    : 'the old bucket does not answer';
}
