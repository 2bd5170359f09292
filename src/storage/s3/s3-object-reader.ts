import { GetObjectCommand, ListObjectsV2Command, type HeadObjectCommandOutput } from '@aws-sdk/client-s3';
import type { Readable } from 'node:stream';
import { BlobReader } from '../blob-reader.ts';
import type { BlobRange } from '../blob.ts';
import type { SignedUrl, SignedUrlOptions, StoreCall } from '../blob-store.ts';
import type {
  ListedObject,
  ObjectChecksums,
  ObjectInfo,
  ObjectReader,
  PublicAccess,
} from '../object-reader.ts';
import { abortBy, S3Bucket, type S3Options } from './bucket.ts';
import { isMissingKey, isTaken, setupFaultOf } from './failures.ts';
import { S3UrlSigner } from './presign.ts';
import { headersOf } from './properties.ts';
import { publicAccessOf } from './public-access.ts';
import { rangeHeader } from './range-header.ts';
import { escapePath } from './signature.ts';
import { storeUnavailable } from '../../errors/dependencies.ts';
import { blobMissing } from '../../errors/records.ts';

const CHECK_TIMEOUT_MS = 5_000;

/** Reads the objects of a bucket of any S3-compatible store. */
export class S3ObjectReader implements ObjectReader {
  readonly #bucket: S3Bucket;
  readonly #signer: S3UrlSigner;
  readonly #publicEndpoint: string | undefined;

  constructor(options: S3Options) {
    const { bucket, endpoint, publicEndpoint = endpoint } = options;
    this.#bucket = new S3Bucket(options);
    this.#publicEndpoint = publicEndpoint;
    this.#signer = new S3UrlSigner(this.#bucket.client, { bucket, endpoint: publicEndpoint });
  }

  async stat(key: string, { signal }: StoreCall = {}): Promise<ObjectInfo | undefined> {
    const head = await this.#bucket.head(key, signal);
    return head && infoOf(head);
  }

  async checksums(key: string, { signal }: StoreCall = {}): Promise<ObjectChecksums> {
    const head = await this.#bucket.head(key, signal, { ChecksumMode: 'ENABLED' });
    return head === undefined ? {} : checksumsOf(head);
  }

  async read(key: string, etag: string, range?: BlobRange, { signal }: StoreCall = {}): Promise<Readable> {
    const part = range && rangeHeader(range);
    const command = new GetObjectCommand({ ...this.#bucket.object(key), IfMatch: etag, ...part });
    const answer = await this.#bucket.send(signal, async (attempt) => {
      try {
        return await this.#bucket.client.send(command, abortBy(attempt));
      } catch (error) {
        if (isMissingKey(error) || isTaken(error)) throw blobMissing({ cause: error });
        throw error;
      }
    });
    const source = answer.Body as Readable;
    if (range !== undefined && answer.ContentRange === undefined) {
      source.destroy();
      throw storeUnavailable(new Error('the store ignored the range'));
    }
    const { stallTimeoutMs } = this.#bucket;
    return new BlobReader(source, { sizeBytes: answer.ContentLength ?? 0, stallTimeoutMs, signal });
  }

  async signUrl(key: string, options: SignedUrlOptions): Promise<SignedUrl> {
    try {
      return await this.#signer.sign(escapePath(key), options);
    } catch (error) {
      throw storeUnavailable(setupFaultOf(error) ?? error);
    }
  }

  async list(after: string, { signal }: StoreCall = {}): Promise<readonly ListedObject[]> {
    const command = new ListObjectsV2Command({
      Bucket: this.#bucket.name,
      ...(after !== '' && { StartAfter: after }),
    });
    const page = await this.#bucket.send(signal, (attempt) =>
      this.#bucket.client.send(command, abortBy(attempt)),
    );
    // A response without the bucket's name is not from an S3 and does not prove that the object is missing.
    if (page.Name === undefined) throw storeUnavailable(new Error('the answer is no list of a bucket'));
    return (page.Contents ?? []).map(({ Key = '', Size = 0, ETag = '', LastModified = new Date(0) }) => {
      return { key: Key, sizeBytes: Size, etag: ETag, modifyTime: LastModified };
    });
  }

  publicAccess(sampleKey: string | undefined, { signal }: StoreCall = {}): Promise<PublicAccess> {
    return publicAccessOf(this.#bucket, this.#publicEndpoint, sampleKey, signal);
  }

  now(): Date {
    return this.#bucket.clock.now();
  }

  check({ signal }: StoreCall = {}): Promise<void> {
    return this.#bucket.check(signal, CHECK_TIMEOUT_MS);
  }

  close(): void {
    this.#bucket.close();
  }
}

function infoOf(head: HeadObjectCommandOutput): ObjectInfo {
  const { ContentLength = 0, ETag = '', ContentType = '' } = head;
  return { sizeBytes: ContentLength, etag: ETag, contentType: ContentType, headers: headersOf(head) };
}

/** An etag is the MD5 of an object that was stored whole and not encrypted by KMS or a key of the caller. */
function checksumsOf(head: HeadObjectCommandOutput): ObjectChecksums {
  const { ETag = '', ChecksumType, ChecksumSHA1, ChecksumSHA256, ChecksumCRC32C } = head;
  const { ServerSideEncryption, SSECustomerAlgorithm } = head;
  const isPlain = !ServerSideEncryption?.startsWith('aws:kms') && SSECustomerAlgorithm === undefined;
  const [, md5] = /^"?([0-9a-f]{32})"?$/.exec(ETag) ?? [];
  // Of parts, there is a checksum of checksums.
  const ofWhole = (text: string | undefined) =>
    text === undefined || ChecksumType === 'COMPOSITE' || text.includes('-')
      ? undefined
      : Buffer.from(text, 'base64').toString('hex');
  const found = {
    ...{ md5: isPlain ? md5 : undefined, sha1: ofWhole(ChecksumSHA1) },
    ...{ sha256: ofWhole(ChecksumSHA256), crc32c: ofWhole(ChecksumCRC32C) },
  };
  return Object.fromEntries(Object.entries(found).filter(([, hex]) => hex !== undefined));
}
