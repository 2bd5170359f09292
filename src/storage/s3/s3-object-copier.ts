import { CopyObjectCommand, UploadPartCopyCommand } from '@aws-sdk/client-s3';
import pLimit from 'p-limit';
import { isAssetError } from '../../errors/asset-error.ts';
import { blobMissing } from '../../errors/records.ts';
import { assertBlobKey, type BlobPart, type BlobProperties } from '../blob.ts';
import type { StoreCall } from '../blob-store.ts';
import type { CopySource, ObjectCopier } from '../object-copier.ts';
import { abortBy, S3Bucket, type S3Options } from './bucket.ts';
import { createObject, newWriteId } from './create.ts';
import { isMissingKey, isTaken, statusOf } from './failures.ts';
import { S3Multiparts, splitMultipartId } from './multipart.ts';
import { propertyFields } from './properties.ts';
import { sendRequest } from './requests.ts';
import { escapePath } from './signature.ts';

/** Sizes at which copies are made in parts, in bytes. */
export interface CopySizes {
  /** Largest object that is copied by one request; default 5 GiB, which is what S3 allows. */
  readonly maxWholeBytes?: number;
  /** Default 512 MiB. It grows where there would be more than 10,000 parts. */
  readonly partBytes?: number;
}

const MEBIBYTE = 1024 ** 2;
const MAX_PARTS = 10_000;
const PART_CONCURRENCY = 4;
const CLEANUP_TIMEOUT_MS = 5_000;

/** How quickly a store copies at least, in bytes per millisecond: it says nothing before it has ended. */
const SLOWEST = (4 * MEBIBYTE) / 1_000;

/** Copies between two buckets of one S3. */
export class S3ObjectCopier implements ObjectCopier {
  readonly #bucket: S3Bucket;
  readonly #multiparts: S3Multiparts;
  readonly #from: string;
  readonly #sizes: Required<CopySizes>;

  /**
   * @param store - bucket that the copies are for, with the key that reads and writes
   * @param from - name of the other bucket, or ARN of an access point
   */
  constructor(store: S3Options, from: string, sizes: CopySizes = {}) {
    this.#bucket = new S3Bucket(store);
    this.#multiparts = new S3Multiparts(this.#bucket);
    this.#from = from.startsWith('arn:') ? `${from}/object` : from;
    this.#sizes = { maxWholeBytes: 5 * 1024 * MEBIBYTE, partBytes: 512 * MEBIBYTE, ...sizes };
  }

  async copy(
    key: string,
    source: CopySource,
    properties: BlobProperties,
    { signal }: StoreCall = {},
  ): Promise<'created' | 'exists' | 'refused'> {
    assertBlobKey(key);
    const inParts = source.sizeBytes > this.#sizes.maxWholeBytes;
    try {
      return inParts
        ? await this.#copyParts(key, source, properties, signal)
        : await this.#copyWhole(key, source, properties, signal);
    } catch (error) {
      if (isRefusal(error)) return 'refused';
      throw error;
    }
  }

  close(): void {
    this.#bucket.close();
  }

  #copyWhole(
    key: string,
    source: CopySource,
    properties: BlobProperties,
    signal: AbortSignal | undefined,
  ): Promise<'created' | 'exists'> {
    const writeId = newWriteId();
    const command = new CopyObjectCommand({
      ...this.#bucket.object(key),
      ...this.#bucket.encryption,
      ...this.#source(source),
      ...propertyFields(properties, writeId),
      ...{ MetadataDirective: 'REPLACE', TaggingDirective: 'REPLACE', IfNoneMatch: '*' },
    });
    const options = { signal, stallTimeoutMs: this.#timeoutFor(source.sizeBytes) };
    return createObject(this.#bucket, key, writeId, options, async (attempt, mayExist) => {
      mayExist();
      try {
        return await this.#bucket.client.send(command, abortBy(attempt));
      } catch (error) {
        // One status says that the key is taken and that the object was replaced.
        const isReplaced = isTaken(error) && !(await this.#bucket.head(key, attempt.signal));
        if (isReplaced || isMissingKey(error)) throw blobMissing({ cause: error });
        throw error;
      }
    });
  }

  async #copyParts(
    key: string,
    source: CopySource,
    properties: BlobProperties,
    signal: AbortSignal | undefined,
  ): Promise<'created' | 'exists'> {
    const call = { ...(signal && { signal }) };
    const partSizeBytes = Math.max(this.#sizes.partBytes, Math.ceil(source.sizeBytes / MAX_PARTS));
    // The store computes no checksums of parts that it copies.
    const begun = { ...properties, partSizeBytes, bySignedUrl: true };
    const multipartId = await this.#multiparts.startMultipart(key, begun, call);
    let status: 'created' | 'exists' | undefined;
    try {
      const limit = pLimit(PART_CONCURRENCY);
      const count = Math.ceil(source.sizeBytes / partSizeBytes);
      const parts = await Promise.all(
        Array.from({ length: count }, (_none, index) =>
          limit(() => this.#copyPart(key, multipartId, index + 1, { ...source, partSizeBytes }, signal)),
        ),
      );
      return (status = await this.#multiparts.completeMultipart(key, multipartId, parts, call));
    } finally {
      if (status !== 'created') await this.#drop(key);
    }
  }

  async #copyPart(
    key: string,
    multipartId: string,
    partNumber: number,
    source: CopySource & { readonly partSizeBytes: number },
    signal: AbortSignal | undefined,
  ): Promise<BlobPart> {
    const start = (partNumber - 1) * source.partSizeBytes;
    const end = Math.min(start + source.partSizeBytes, source.sizeBytes);
    const command = new UploadPartCopyCommand({
      ...this.#bucket.object(key),
      ...this.#source(source),
      ...{ UploadId: splitMultipartId(multipartId).uploadId, PartNumber: partNumber },
      CopySourceRange: `bytes=${start}-${end - 1}`,
    });
    const options = { signal, stallTimeoutMs: this.#timeoutFor(source.partSizeBytes) };
    const answer = await sendRequest(options, async (attempt) => {
      try {
        return await this.#bucket.client.send(command, abortBy(attempt));
      } catch (error) {
        if (isTaken(error) || isMissingKey(error)) throw blobMissing({ cause: error });
        throw error;
      }
    });
    return { partNumber, sizeBytes: end - start, tag: answer.CopyPartResult?.ETag ?? '' };
  }

  #source({ key, etag }: CopySource): { CopySource: string; CopySourceIfMatch: string } {
    return { CopySource: `${this.#from}/${escapePath(key)}`, CopySourceIfMatch: etag };
  }

  #timeoutFor(sizeBytes: number): number {
    return this.#bucket.stallTimeoutMs + sizeBytes / SLOWEST;
  }

  async #drop(key: string): Promise<void> {
    try {
      await this.#multiparts.abortMultiparts(key, { signal: AbortSignal.timeout(CLEANUP_TIMEOUT_MS) });
    } catch {
      // The sweeper does it later; the failure that led here is the one to tell.
    }
  }
}

/** True if the store answered that it does not do this, whoever asks, or not for this key. */
function isRefusal(error: unknown): boolean {
  if (!isAssetError(error, 'STORE_UNAVAILABLE')) return false;
  const { cause } = error;
  const status = statusOf(cause ?? {}) ?? statusOf((cause as Error | undefined)?.cause ?? {});
  return status !== undefined && [400, 403, 404, 405, 501].includes(status);
}
