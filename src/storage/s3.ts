import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
  type CompletedPart,
  type HeadObjectCommandOutput,
  type Part,
} from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { AssetError, isAssetError } from '../errors.ts';
import { BlobReader } from './blob-reader.ts';
import {
  assertBlobKey,
  type BlobBody,
  type BlobPart,
  type BlobProperties,
  type BlobRange,
  type BlobStore,
  type SignedPut,
  type SignedUrlOptions,
  type StoreCall,
} from './blob-store.ts';
import { hasCode, isBadChecksum, isMissingKey, isPastEnd, isTaken } from './s3-errors.ts';
import { S3UrlSigner } from './s3-presign.ts';
import { sendRequest, type Attempt } from './s3-requests.ts';
import { checksum, isRepeatable, UploadBody } from './s3-upload-body.ts';
import { blobMissing, multipartGone, sizeMismatch, storeUnavailable } from './store-errors.ts';

/** Where an S3 is and how it is used. */
export interface S3Options {
  readonly bucket: string;
  readonly region: string;
  /** Address of the S3; that of AWS in the region where left out. */
  readonly endpoint?: string;
  /** Address that readers reach the S3 under; signed URLs start with it. `endpoint` where left out. */
  readonly publicEndpoint?: string;
  /** True to put the bucket into the path instead of the host name. */
  readonly forcePathStyle?: boolean;
  /** Encryption at rest; the bucket's default where left out. */
  readonly encryption?: { readonly algorithm: 'AES256' | 'aws:kms'; readonly kmsKeyId?: string };
  /** Found by the chain of AWS (environment, profile, role) where left out. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** How long the store may move nothing while it is its turn, in milliseconds; 10,000 where left out. */
  readonly stallTimeoutMs?: number;
}

const CONNECT_TIMEOUT_MS = 3_000;
const CHECK_TIMEOUT_MS = 5_000;
/** S3 may take its time to put thousands of parts together. */
const COMPLETE_TIMEOUT_FACTOR = 6;
/** How long an aborted write waits for the answer to what the store may have done already. */
const GRACE_MS = 1_000;
const UNDO_TIMEOUT_MS = 2_000;
/** How late a store may notice that a body broke off. */
const LATE_MS = 300;

/**
 * Blobs in a bucket of any S3.
 *
 * Every blob carries a random write id as metadata. When the answer to a write is lost and the repeated write
 * finds a blob, the write id tells whether it is our own.
 */
export class S3BlobStore implements BlobStore {
  readonly kind = 's3';
  readonly partLimits = { minBytes: 5 * 1024 ** 2, maxBytes: 5 * 1024 ** 3, maxParts: 10_000 };
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #stallTimeoutMs: number;
  readonly #encryption: { ServerSideEncryption?: 'AES256' | 'aws:kms'; SSEKMSKeyId?: string };
  readonly #signer: S3UrlSigner;

  constructor(options: S3Options) {
    const { bucket, region, endpoint, publicEndpoint = endpoint, encryption } = options;
    const config = {
      region,
      forcePathStyle: options.forcePathStyle ?? false,
      ...(options.credentials && { credentials: options.credentials }),
      // The CRC32C goes as a header of ours. The SDK would read every body once more for its own.
      requestChecksumCalculation: 'WHEN_REQUIRED' as const,
      responseChecksumValidation: 'WHEN_REQUIRED' as const,
      // It would take a connection of its own for every body.
      expectContinueHeader: false,
      // Its warnings would go past our log, and tell nothing that our errors do not.
      logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
      // Repeated by sendRequest(), which knows what may be repeated.
      maxAttempts: 1,
      requestHandler: new NodeHttpHandler({
        connectionTimeout: CONNECT_TIMEOUT_MS,
        // Bounded above us. A request that waits for a connection would look like a store that stalls.
        httpAgent: { maxSockets: Infinity },
        httpsAgent: { maxSockets: Infinity },
      }),
    };
    this.#client = new S3Client({ ...config, ...(endpoint && { endpoint }) });
    this.#bucket = bucket;
    this.#stallTimeoutMs = options.stallTimeoutMs ?? 10_000;
    this.#encryption = {
      ...(encryption && { ServerSideEncryption: encryption.algorithm }),
      ...(encryption?.kmsKeyId && { SSEKMSKeyId: encryption.kmsKeyId }),
    };
    this.#signer = new S3UrlSigner(this.#client, { bucket, region, endpoint: publicEndpoint });
  }

  async put(
    key: string,
    body: BlobBody,
    properties: BlobProperties,
    { signal }: StoreCall = {},
  ): Promise<'created' | 'exists'> {
    assertBlobKey(key);
    const writeId = newWriteId();
    const checksums = checksumHeader(body);
    const command = (Body: UploadBody | Uint8Array) =>
      new PutObjectCommand({
        ...this.#object(key),
        ...this.#encryption,
        ...checksums,
        Body,
        ContentLength: body.sizeBytes,
        ContentType: properties.contentType,
        IfNoneMatch: '*',
        Metadata: { 'write-id': writeId },
      });
    return this.#create(
      key,
      writeId,
      { signal, repeat: isRepeatable(body), unproven: !('ChecksumCRC32C' in checksums) },
      (attempt, mayExist) =>
        this.#withBody(body, attempt, mayExist, (Body) => this.#client.send(command(Body), abortBy(attempt))),
    );
  }

  async startMultipart(
    key: string,
    properties: BlobProperties & { readonly partSizeBytes: number; readonly bySignedUrl?: boolean },
    { signal }: StoreCall = {},
  ): Promise<string> {
    assertBlobKey(key);
    const writeId = newWriteId();
    const command = new CreateMultipartUploadCommand({
      ...this.#object(key),
      ...this.#encryption,
      ContentType: properties.contentType,
      // AWS refuses parts without a checksum once one is announced.
      ...(properties.bySignedUrl !== true && { ChecksumAlgorithm: 'CRC32C', ChecksumType: 'FULL_OBJECT' }),
      Metadata: { 'write-id': writeId },
    });
    const { UploadId } = await this.#send(signal, (attempt) => this.#client.send(command, abortBy(attempt)));
    return `${writeId}.${UploadId}`;
  }

  async putPart(
    key: string,
    multipartId: string,
    partNumber: number,
    body: BlobBody,
    { signal }: StoreCall = {},
  ): Promise<BlobPart> {
    assertBlobKey(key);
    const { uploadId } = splitMultipartId(multipartId);
    const checksums = checksumHeader(body);
    const command = (Body: UploadBody | Uint8Array) =>
      new UploadPartCommand({
        ...this.#object(key),
        ...checksums,
        UploadId: uploadId,
        PartNumber: partNumber,
        Body,
        ContentLength: body.sizeBytes,
      });
    const options = { signal, repeat: isRepeatable(body), stallTimeoutMs: this.#stallTimeoutMs };
    return sendRequest(options, (attempt) =>
      this.#withBody(body, attempt, ignore, async (Body) => {
        const { ETag } = await this.#client.send(command(Body), abortBy(attempt));
        const crc32c = body.crc32c ?? (Body instanceof UploadBody ? Body.crc32c : 0);
        return { partNumber, sizeBytes: body.sizeBytes, tag: ETag ?? '', crc32c };
      }),
    );
  }

  async completeMultipart(
    key: string,
    multipartId: string,
    parts: readonly BlobPart[],
    { signal }: StoreCall = {},
  ): Promise<'created' | 'exists'> {
    assertBlobKey(key);
    const { writeId, uploadId } = splitMultipartId(multipartId);
    const command = new CompleteMultipartUploadCommand({
      ...this.#object(key),
      UploadId: uploadId,
      IfNoneMatch: '*',
      MultipartUpload: { Parts: parts.map(completedPart) },
    });
    const stallTimeoutMs = this.#stallTimeoutMs * COMPLETE_TIMEOUT_FACTOR;
    // Some answer a second completion like the first.
    if (await this.#head(key, signal)) return 'exists';
    return this.#create(key, writeId, { signal, stallTimeoutMs }, (attempt, mayExist) => {
      mayExist();
      return this.#client.send(command, abortBy(attempt));
    });
  }

  async abortMultiparts(key: string, { signal }: StoreCall = {}): Promise<void> {
    assertBlobKey(key);
    // A part that was under way can outlive the first abort, so look again until nothing is left.
    for (let round = 0; round < 3; round++) {
      const uploadIds = await this.#unfinished(key, signal);
      if (uploadIds.length === 0) return;
      for (const UploadId of uploadIds) {
        const command = new AbortMultipartUploadCommand({ ...this.#object(key), UploadId });
        await this.#send(signal, async (attempt) => {
          try {
            await this.#client.send(command, abortBy(attempt));
          } catch (error) {
            if (!hasCode(error, 'NoSuchUpload')) throw error;
          }
        });
      }
    }
  }

  async stat(key: string, { signal }: StoreCall = {}): Promise<{ readonly sizeBytes: number } | undefined> {
    assertBlobKey(key);
    const head = await this.#head(key, signal);
    return head && { sizeBytes: head.ContentLength ?? 0 };
  }

  async read(key: string, range?: BlobRange, { signal }: StoreCall = {}): Promise<Readable> {
    assertBlobKey(key);
    if (range?.length === 0) {
      if (!(await this.stat(key, { ...(signal && { signal }) }))) throw blobMissing();
      return Readable.from([]);
    }
    const command = new GetObjectCommand({ ...this.#object(key), ...rangeHeader(range) });
    const answer = await this.#send(signal, async (attempt) => {
      try {
        return await this.#client.send(command, abortBy(attempt));
      } catch (error) {
        if (isMissingKey(error)) throw blobMissing(error);
        if (!isPastEnd(error)) throw error;
        // An empty object has no range at all, not even from 0.
        if (range?.offset === 0) return undefined;
        throw new AssetError('READ_OFFSET_OUT_OF_RANGE', 'the offset lies beyond the end', { cause: error });
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
      stallTimeoutMs: this.#stallTimeoutMs,
      signal,
    });
  }

  async delete(key: string, { signal }: StoreCall = {}): Promise<void> {
    assertBlobKey(key);
    const command = new DeleteObjectCommand(this.#object(key));
    await this.#send(signal, async (attempt) => {
      try {
        await this.#client.send(command, abortBy(attempt));
      } catch (error) {
        if (!isMissingKey(error)) throw error;
      }
    });
  }

  async signUrl(key: string, options: SignedUrlOptions): Promise<string> {
    assertBlobKey(key);
    try {
      return await this.#signer.sign(key, options);
    } catch (error) {
      // Only the credentials can fail.
      throw storeUnavailable(error);
    }
  }

  /** A store that does not look at the signed size takes any; `listParts` tells what it took. */
  async signPart(
    key: string,
    multipartId: string,
    partNumber: number,
    {
      sizeBytes,
      ...lifetime
    }: { readonly sizeBytes: number; readonly issuedAt: Date; readonly ttlSeconds: number },
  ): Promise<SignedPut> {
    assertBlobKey(key);
    const { uploadId } = splitMultipartId(multipartId);
    try {
      return await this.#signer.signPart(key, { uploadId, partNumber, sizeBytes }, lifetime);
    } catch (error) {
      throw storeUnavailable(error);
    }
  }

  async listParts(
    key: string,
    multipartId: string,
    { signal }: StoreCall = {},
  ): Promise<readonly BlobPart[]> {
    assertBlobKey(key);
    const { uploadId } = splitMultipartId(multipartId);
    const parts = new Map<number | undefined, Part>();
    let marker: { PartNumberMarker?: string } = {};
    for (;;) {
      const command = new ListPartsCommand({ ...this.#object(key), UploadId: uploadId, ...marker });
      const page = await this.#send(signal, (attempt) => this.#client.send(command, abortBy(attempt)));
      for (const part of page.Parts ?? []) {
        // Some go on listing a part that was replaced. They tell the times by the second.
        const before = parts.get(part.PartNumber)?.LastModified;
        if (!before || before <= (part.LastModified ?? before)) parts.set(part.PartNumber, part);
      }
      if (page.IsTruncated !== true || page.NextPartNumberMarker === undefined) {
        return [...parts.values()].map(storedPart);
      }
      marker = { PartNumberMarker: page.NextPartNumberMarker };
    }
  }

  async check({ signal }: StoreCall = {}): Promise<void> {
    await sendRequest({ signal, repeat: false, stallTimeoutMs: CHECK_TIMEOUT_MS }, (attempt) =>
      this.#client.send(new HeadBucketCommand({ Bucket: this.#bucket }), abortBy(attempt)),
    );
  }

  close(): Promise<void> {
    this.#client.destroy();
    return Promise.resolve();
  }

  #object(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#bucket, Key: key };
  }

  #send<T>(signal: AbortSignal | undefined, request: (attempt: Attempt) => Promise<T>): Promise<T> {
    return sendRequest({ signal, stallTimeoutMs: this.#stallTimeoutMs }, request);
  }

  /** Sends a body once. */
  async #withBody<T>(
    body: BlobBody,
    attempt: Attempt,
    onHandedOver: () => void,
    send: (body: UploadBody | Uint8Array) => Promise<T>,
  ): Promise<T> {
    const upload = new UploadBody(body, attempt.stall, onHandedOver);
    // What the source fails with is not the store's fault.
    upload.once('error', attempt.fail);
    try {
      if (body.sizeBytes > 0) return await send(upload);
      // The SDK hangs on a stream without bytes.
      await upload.finishEmpty().catch(attempt.fail);
      attempt.signal.throwIfAborted();
      return await send(new Uint8Array());
    } catch (error) {
      if (isBadChecksum(error) && body.crc32c !== undefined && isRepeatable(body)) {
        if (checksum(body.chunks) === body.crc32c) throw new Error('damaged on the way', { cause: error });
      }
      throw error;
    } finally {
      upload.destroy();
    }
  }

  /**
   * Runs a request that makes the blob. `send` calls `mayExist` when the store may carry it out from then on.
   * An attempt that finds a blob after such an earlier one looks whether the blob is its own. If the
   * caller gives up, a blob that was made all the same is removed.
   */
  async #create(
    key: string,
    writeId: string,
    options: {
      signal: AbortSignal | undefined;
      repeat?: boolean;
      stallTimeoutMs?: number;
      /** True if the store gets no checksum: it may take a body that breaks off for a whole one. */
      unproven?: boolean;
    },
    send: (attempt: Attempt, mayExist: () => void) => Promise<unknown>,
  ): Promise<'created' | 'exists'> {
    const { signal } = options;
    let mayExist = false;
    const graceMs = () => (mayExist ? GRACE_MS : 0);
    const create = async (attempt: Attempt): Promise<'created' | 'exists'> => {
      const again = mayExist;
      try {
        await send(attempt, () => (mayExist = true));
        return 'created';
      } catch (error) {
        const gone = hasCode(error, 'NoSuchUpload');
        if (!gone && !isTaken(error)) throw error;
        const head = await this.#head(key, attempt.signal);
        if (gone && !head) throw error;
        return again && head?.Metadata?.['write-id'] === writeId ? 'created' : 'exists';
      }
    };
    try {
      const status = await sendRequest({ stallTimeoutMs: this.#stallTimeoutMs, ...options, graceMs }, create);
      signal?.throwIfAborted();
      return status;
    } catch (error) {
      if (signal?.aborted && mayExist) await this.#undo(key, writeId);
      else if (options.unproven === true && !isAssetError(error, 'STORE_UNAVAILABLE')) {
        const undone = sleep(LATE_MS).then(() => this.#undo(key, writeId));
        // Who gave up does not wait.
        if (!signal?.aborted) await undone;
      }
      throw error;
    }
  }

  async #undo(key: string, writeId: string): Promise<void> {
    const signal = AbortSignal.timeout(UNDO_TIMEOUT_MS);
    try {
      const head = await this.#head(key, signal);
      if (head?.Metadata?.['write-id'] === writeId) await this.delete(key, { signal });
    } catch {
      // The caller has gone; whoever gave out the key deletes what is left under it.
    }
  }

  async #head(key: string, signal: AbortSignal | undefined): Promise<HeadObjectCommandOutput | undefined> {
    return this.#send(signal, async (attempt) => {
      try {
        return await this.#client.send(new HeadObjectCommand(this.#object(key)), abortBy(attempt));
      } catch (error) {
        if (!isMissingKey(error)) throw error;
        // The answer to HEAD has no body that could say whether the object is missing or the bucket.
        await this.#client.send(new HeadBucketCommand({ Bucket: this.#bucket }), abortBy(attempt));
        return undefined;
      }
    });
  }

  /** Ids of the unfinished multipart uploads under exactly this key. */
  async #unfinished(key: string, signal: AbortSignal | undefined): Promise<string[]> {
    const uploadIds: string[] = [];
    const { Bucket, Key: Prefix } = this.#object(key);
    let marker: { KeyMarker?: string; UploadIdMarker?: string } = {};
    for (;;) {
      const command = new ListMultipartUploadsCommand({ Bucket, Prefix, ...marker });
      const page = await this.#send(signal, (attempt) => this.#client.send(command, abortBy(attempt)));
      for (const { Key, UploadId } of page.Uploads ?? []) {
        // Other keys may begin with this one.
        if (Key === key && UploadId !== undefined) uploadIds.push(UploadId);
      }
      if (page.IsTruncated !== true || page.NextKeyMarker === undefined) return uploadIds;
      marker = {
        KeyMarker: page.NextKeyMarker,
        ...(page.NextUploadIdMarker !== undefined && { UploadIdMarker: page.NextUploadIdMarker }),
      };
    }
  }
}

function ignore(): void {
  // Nothing to do.
}

function abortBy(attempt: Attempt): { abortSignal: AbortSignal } {
  return { abortSignal: attempt.signal };
}

function newWriteId(): string {
  return randomBytes(12).toString('hex');
}

function completedPart({ partNumber, tag, crc32c }: BlobPart): CompletedPart {
  return {
    PartNumber: partNumber,
    ETag: tag,
    ...(crc32c !== undefined && { ChecksumCRC32C: encodeChecksum(crc32c) }),
  };
}

function storedPart({ PartNumber, Size, ETag, ChecksumCRC32C }: Part): BlobPart {
  return {
    partNumber: PartNumber ?? 0,
    sizeBytes: Size ?? 0,
    tag: ETag ?? '',
    ...(ChecksumCRC32C && { crc32c: Buffer.from(ChecksumCRC32C, 'base64').readUInt32BE() }),
  };
}

/** The id of a multipart blob names its write id too, so that every replica can tell its own blob. */
function splitMultipartId(multipartId: string): { writeId: string; uploadId: string } {
  const [, writeId, uploadId] = /^([0-9a-f]{24})\.(.+)$/s.exec(multipartId) ?? [];
  if (writeId === undefined || uploadId === undefined) throw multipartGone();
  return { writeId, uploadId };
}

/** The checksum that the store verifies; a body in memory always gets one. Checks such a body's size as well. */
function checksumHeader(body: BlobBody): { ChecksumCRC32C?: string } {
  let { crc32c } = body;
  if (isRepeatable(body)) {
    const size = body.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    if (size !== body.sizeBytes) throw sizeMismatch(body.sizeBytes, size);
    crc32c ??= checksum(body.chunks);
  }
  return crc32c === undefined ? {} : { ChecksumCRC32C: encodeChecksum(crc32c) };
}

function encodeChecksum(crc32c: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32c);
  return bytes.toString('base64');
}

function rangeHeader(range: BlobRange | undefined): { Range?: string } {
  if (!range || (range.offset === 0 && range.length === undefined)) return {};
  const last = range.length === undefined ? '' : range.offset + range.length - 1;
  return { Range: `bytes=${range.offset}-${last}` };
}
