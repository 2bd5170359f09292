import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  type CompletedPart,
  type Part,
} from '@aws-sdk/client-s3';
import { assertBlobKey, type BlobBody, type BlobPart } from '../blob.ts';
import type { BlobStore, StoreCall } from '../blob-store.ts';
import { abortBy, type S3Bucket } from './bucket.ts';
import { createObject, newWriteId, sendBody } from './create.ts';
import { hasCode } from './failures.ts';
import { propertyFields } from './properties.ts';
import { sendRequest } from './requests.ts';
import { bodyHeaders, encodeChecksum, isRepeatable, withChecksum } from './upload-body.ts';
import { uploadExpired } from '../../errors/uploads.ts';

/** S3 may need time to combine thousands of parts. */
const COMPLETE_TIMEOUT_FACTOR = 6;

/** Multipart blobs of a bucket; methods as in {@link BlobStore}. */
export class S3Multiparts implements Pick<
  BlobStore,
  'startMultipart' | 'putPart' | 'completeMultipart' | 'abortMultiparts' | 'listParts'
> {
  readonly #bucket: S3Bucket;

  constructor(bucket: S3Bucket) {
    this.#bucket = bucket;
  }

  async startMultipart(
    key: string,
    properties: Parameters<BlobStore['startMultipart']>[1],
    { signal }: StoreCall = {},
  ): Promise<string> {
    assertBlobKey(key);
    const writeId = newWriteId();
    const command = new CreateMultipartUploadCommand({
      ...this.#bucket.object(key),
      ...this.#bucket.encryption,
      ...propertyFields(properties, writeId),
      // AWS refuses parts without a checksum if one was announced.
      ...(properties.bySignedUrl !== true && { ChecksumAlgorithm: 'CRC32C', ChecksumType: 'FULL_OBJECT' }),
    });
    const { UploadId } = await this.#bucket.send(signal, (attempt) =>
      this.#bucket.client.send(command, abortBy(attempt)),
    );
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
    const summed = withChecksum(body);
    const headers = bodyHeaders(summed);
    const query = { partNumber: String(partNumber), uploadId };
    const options = { signal, repeat: isRepeatable(body), stallTimeoutMs: this.#bucket.stallTimeoutMs };
    return sendRequest(options, async (attempt) => {
      const sent = await sendBody(
        summed,
        attempt,
        () => undefined,
        (write) => this.#bucket.putter.put({ key, query, headers, signal: attempt.signal }, write),
      );
      return { partNumber, sizeBytes: body.sizeBytes, ...sent };
    });
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
      ...this.#bucket.object(key),
      UploadId: uploadId,
      IfNoneMatch: '*',
      MultipartUpload: { Parts: parts.map(completedPart) },
    });
    const stallTimeoutMs = this.#bucket.stallTimeoutMs * COMPLETE_TIMEOUT_FACTOR;
    // Some stores answer a second completion like the first.
    if (await this.#bucket.head(key, signal)) return 'exists';
    return createObject(this.#bucket, key, writeId, { signal, stallTimeoutMs }, (attempt, mayExist) => {
      mayExist();
      return this.#bucket.client.send(command, abortBy(attempt));
    });
  }

  async abortMultiparts(key: string, { signal }: StoreCall = {}): Promise<void> {
    assertBlobKey(key);
    // A running part may survive the first abort, so repeat until nothing is left.
    for (let round = 0; round < 3; round++) {
      const uploadIds = await this.#unfinished(key, signal);
      if (uploadIds.length === 0) return;
      for (const UploadId of uploadIds) {
        const command = new AbortMultipartUploadCommand({ ...this.#bucket.object(key), UploadId });
        await this.#bucket.send(signal, async (attempt) => {
          try {
            await this.#bucket.client.send(command, abortBy(attempt));
          } catch (error) {
            if (!hasCode(error, 'NoSuchUpload')) throw error;
          }
        });
      }
    }
  }

  async listParts(
    key: string,
    multipartId: string,
    { signal }: StoreCall = {},
  ): Promise<readonly BlobPart[]> {
    assertBlobKey(key);
    const { uploadId } = splitMultipartId(multipartId);
    const listed: Part[] = [];
    let marker: { PartNumberMarker?: string } = {};
    for (;;) {
      const command = new ListPartsCommand({ ...this.#bucket.object(key), UploadId: uploadId, ...marker });
      const page = await this.#bucket.send(signal, (attempt) =>
        this.#bucket.client.send(command, abortBy(attempt)),
      );
      listed.push(...(page.Parts ?? []));
      if (page.IsTruncated !== true || page.NextPartNumberMarker === undefined) {
        return currentParts(listed).map(storedPart);
      }
      marker = { PartNumberMarker: page.NextPartNumberMarker };
    }
  }

  /** Ids of the unfinished multipart uploads under exactly this key. */
  async #unfinished(key: string, signal: AbortSignal | undefined): Promise<string[]> {
    const uploadIds: string[] = [];
    const { Bucket, Key: Prefix } = this.#bucket.object(key);
    let marker: { KeyMarker?: string; UploadIdMarker?: string } = {};
    for (;;) {
      const command = new ListMultipartUploadsCommand({ Bucket, Prefix, ...marker });
      const page = await this.#bucket.send(signal, (attempt) =>
        this.#bucket.client.send(command, abortBy(attempt)),
      );
      for (const { Key, UploadId } of page.Uploads ?? []) {
        // Other keys may start with this one.
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

/**
 * The last stored of all parts with one number. Some stores still list a replaced part, in any order and with times of
 * whole seconds. If they do not tell which of different parts was stored last, there is none, so that it is sent again.
 */
function currentParts(listed: readonly Part[]): readonly Part[] {
  const newest = new Map<number | undefined, Part[]>();
  for (const part of listed) {
    const others = newest.get(part.PartNumber) ?? [];
    const age = timeOf(part) - timeOf(others[0] ?? part);
    if (age >= 0) newest.set(part.PartNumber, age > 0 ? [part] : [...others, part]);
  }
  return [...newest.values()].flatMap(([one, ...others]) =>
    one && others.every(({ ETag }) => ETag === one.ETag) ? [one] : [],
  );
}

function timeOf({ LastModified }: Part): number {
  return LastModified?.getTime() ?? 0;
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

/** The id of a multipart blob contains its write id, so that every replica recognises its own blob. */
export function splitMultipartId(multipartId: string): { writeId: string; uploadId: string } {
  const [, writeId, uploadId] = /^([0-9a-f]{24})\.(.+)$/s.exec(multipartId) ?? [];
  if (writeId === undefined || uploadId === undefined) throw uploadExpired();
  return { writeId, uploadId };
}
