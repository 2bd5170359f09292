import { ListMultipartUploadsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { isBlobKey } from '../blob.ts';
import type { ListedBlob, ListPage } from '../blob-store.ts';
import { abortBy, type S3Bucket } from './bucket.ts';

/** Objects of a bucket that are blobs; see `BlobStore.listBlobs`. */
export async function listObjects(
  bucket: S3Bucket,
  { prefix, after, limit }: ListPage,
  signal: AbortSignal | undefined,
): Promise<readonly ListedBlob[]> {
  const found: ListedBlob[] = [];
  for (let from = after; ;) {
    const page = await bucket.send(signal, (attempt) =>
      bucket.client.send(
        new ListObjectsV2Command({
          Bucket: bucket.name,
          Prefix: prefix,
          MaxKeys: limit,
          ...(from !== undefined && { StartAfter: from }),
        }),
        abortBy(attempt),
      ),
    );
    const objects = page.Contents ?? [];
    for (const { Key = '', Size = 0, LastModified } of objects) {
      // A browser of the store creates folders as objects that end with a slash; they are not keys.
      if (!isBlobKey(Key) || LastModified === undefined) continue;
      found.push({ key: Key, sizeBytes: Size, modifyTime: LastModified });
    }
    const last = objects.at(-1)?.Key;
    if (found.length >= limit || page.IsTruncated !== true || last === undefined || last === from) {
      return found.slice(0, limit);
    }
    from = last;
  }
}

/** Keys of a bucket with unfinished multipart uploads; see `BlobStore.listMultiparts`. */
export async function listMultipartKeys(
  bucket: S3Bucket,
  { prefix, after = '', limit }: ListPage,
  signal: AbortSignal | undefined,
): Promise<readonly ListedBlob[]> {
  const latest = new Map<string, Date>();
  // Starts at the first key each time: some stores return nothing for a marker that has only a key.
  for (let marker: { KeyMarker?: string; UploadIdMarker?: string } = {}; ;) {
    const command = new ListMultipartUploadsCommand({ Bucket: bucket.name, Prefix: prefix, ...marker });
    const page = await bucket.send(signal, (attempt) => bucket.client.send(command, abortBy(attempt)));
    for (const { Key = '', Initiated } of page.Uploads ?? []) {
      if (!isBlobKey(Key) || Key <= after || Initiated === undefined) continue;
      if (Initiated > (latest.get(Key) ?? new Date(0))) latest.set(Key, Initiated);
    }
    // One more than requested: the last key may have more uploads on the next page.
    if (latest.size > limit || page.IsTruncated !== true || page.NextKeyMarker === undefined) break;
    marker = {
      KeyMarker: page.NextKeyMarker,
      ...(page.NextUploadIdMarker !== undefined && { UploadIdMarker: page.NextUploadIdMarker }),
    };
  }
  return [...latest]
    .map(([key, modifyTime]) => ({ key, sizeBytes: 0, modifyTime }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .slice(0, limit);
}
