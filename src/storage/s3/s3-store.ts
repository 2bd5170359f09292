import { GetObjectCommand } from '@aws-sdk/client-s3';
import { Readable } from 'node:stream';
import { storeUnavailable } from '../../errors/dependencies.ts';
import { blobMissing, readOffsetOutOfRange } from '../../errors/records.ts';
import { BlobReader } from '../blob-reader.ts';
import {
  assertBlobKey,
  type BlobBody,
  type BlobHeaders,
  type BlobPart,
  type BlobProperties,
  type BlobRange,
} from '../blob.ts';
import type {
  BlobStore,
  ListedBlob,
  ListPage,
  SignedPut,
  SignedUrl,
  SignedUrlOptions,
  StoreCall,
} from '../blob-store.ts';
import { abortBy, S3Bucket, type S3Options } from './bucket.ts';
import { createObject, newWriteId, sendBody } from './create.ts';
import { isMissingKey, isPastEnd, setupFaultOf } from './failures.ts';
import { listMultipartKeys, listObjects } from './list.ts';
import { S3Multiparts, splitMultipartId } from './multipart.ts';
import { headersOf, propertyHeaders } from './properties.ts';
import { S3UrlSigner } from './presign.ts';
import { rangeHeader } from './range-header.ts';
import { bodyHeaders, isRepeatable, withChecksum } from './upload-body.ts';

const CHECK_TIMEOUT_MS = 5_000;

/** Blobs in a bucket of any S3-compatible store. */
export class S3BlobStore implements BlobStore {
  readonly kind = 's3';
  readonly keepsHeaders = true;
  readonly partLimits = { minBytes: 5 * 1024 ** 2, maxBytes: 5 * 1024 ** 3, maxParts: 10_000 };
  readonly #bucket: S3Bucket;
  readonly #multiparts: S3Multiparts;
  readonly #signer: S3UrlSigner;

  constructor(options: S3Options) {
    const { bucket, publicEndpoint } = options;
    this.#bucket = new S3Bucket(options);
    this.#multiparts = new S3Multiparts(this.#bucket);
    this.#signer = new S3UrlSigner(this.#bucket.client, { bucket, endpoint: publicEndpoint });
  }

  async put(
    key: string,
    body: BlobBody,
    properties: BlobProperties,
    { signal }: StoreCall = {},
  ): Promise<'created' | 'exists'> {
    assertBlobKey(key);
    const writeId = newWriteId();
    const summed = withChecksum(body);
    const headers = {
      ...bodyHeaders(summed),
      ...this.#bucket.encryptionHeaders,
      ...propertyHeaders(properties),
      'if-none-match': '*',
      'x-amz-meta-write-id': writeId,
    };
    return createObject(
      this.#bucket,
      key,
      writeId,
      { signal, repeat: isRepeatable(body), unproven: summed.crc32c === undefined },
      (attempt, mayExist) =>
        sendBody(summed, attempt, mayExist, (write) =>
          this.#bucket.putter.put({ key, query: {}, headers, signal: attempt.signal }, write),
        ),
    );
  }

  startMultipart(...args: Parameters<BlobStore['startMultipart']>): Promise<string> {
    return this.#multiparts.startMultipart(...args);
  }

  putPart(...args: Parameters<BlobStore['putPart']>): Promise<BlobPart> {
    return this.#multiparts.putPart(...args);
  }

  completeMultipart(...args: Parameters<BlobStore['completeMultipart']>): Promise<'created' | 'exists'> {
    return this.#multiparts.completeMultipart(...args);
  }

  abortMultiparts(key: string, call?: StoreCall): Promise<void> {
    return this.#multiparts.abortMultiparts(key, call);
  }

  async stat(key: string, { signal }: StoreCall = {}): Promise<{ readonly sizeBytes: number } | undefined> {
    assertBlobKey(key);
    const head = await this.#bucket.head(key, signal);
    return head && { sizeBytes: head.ContentLength ?? 0 };
  }

  async read(key: string, range?: BlobRange, { signal }: StoreCall = {}): Promise<Readable> {
    assertBlobKey(key);
    if (range?.length === 0) {
      if (!(await this.stat(key, { ...(signal && { signal }) }))) throw blobMissing();
      return Readable.from([]);
    }
    const command = new GetObjectCommand({
      ...this.#bucket.object(key),
      ...(isPart(range) && rangeHeader(range)),
    });
    const answer = await this.#bucket.send(signal, async (attempt) => {
      try {
        return await this.#bucket.client.send(command, abortBy(attempt));
      } catch (error) {
        if (isMissingKey(error)) throw blobMissing({ cause: error });
        if (!isPastEnd(error)) throw error;
        // An empty object has no valid range, not even from 0.
        if (range?.offset === 0) return undefined;
        throw readOffsetOutOfRange(undefined, error);
      }
    });
    if (!answer) return Readable.from([]);
    const source = answer.Body as Readable;
    if (command.input.Range !== undefined && answer.ContentRange === undefined) {
      source.destroy();
      throw storeUnavailable(new Error('the store ignored the range'));
    }
    return new BlobReader(source, {
      sizeBytes: answer.ContentLength ?? 0,
      stallTimeoutMs: this.#bucket.stallTimeoutMs,
      signal,
    });
  }

  async headersOf(key: string, { signal }: StoreCall = {}): Promise<BlobHeaders> {
    assertBlobKey(key);
    return headersOf((await this.#bucket.head(key, signal)) ?? {});
  }

  async delete(key: string, { signal }: StoreCall = {}): Promise<void> {
    assertBlobKey(key);
    await this.#bucket.delete(key, signal);
  }

  now(): Date {
    return this.#bucket.clock.now();
  }

  async signUrl(key: string, options: SignedUrlOptions): Promise<SignedUrl> {
    assertBlobKey(key);
    try {
      return await this.#signer.sign(key, options);
    } catch (error) {
      // Only the credentials can fail.
      throw storeUnavailable(setupFaultOf(error) ?? error);
    }
  }

  async signPart(
    key: string,
    multipartId: string,
    partNumber: number,
    options: Parameters<BlobStore['signPart']>[3],
  ): Promise<SignedPut> {
    assertBlobKey(key);
    const { uploadId } = splitMultipartId(multipartId);
    const { sizeBytes } = options;
    try {
      return await this.#signer.signPart(key, { uploadId, partNumber, sizeBytes }, options);
    } catch (error) {
      throw storeUnavailable(setupFaultOf(error) ?? error);
    }
  }

  listParts(...args: Parameters<BlobStore['listParts']>): Promise<readonly BlobPart[]> {
    return this.#multiparts.listParts(...args);
  }

  listBlobs(page: ListPage, call?: StoreCall): Promise<readonly ListedBlob[]> {
    return listObjects(this.#bucket, page, call?.signal);
  }

  listMultiparts(page: ListPage, call?: StoreCall): Promise<readonly ListedBlob[]> {
    return listMultipartKeys(this.#bucket, page, call?.signal);
  }

  async check({ signal }: StoreCall = {}): Promise<void> {
    await this.#bucket.check(signal, CHECK_TIMEOUT_MS);
  }

  close(): Promise<void> {
    this.#bucket.close();
    return Promise.resolve();
  }
}

/** False for a range that is the whole blob. */
function isPart(range: BlobRange | undefined): range is BlobRange {
  return range !== undefined && (range.offset > 0 || range.length !== undefined);
}
