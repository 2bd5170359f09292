import {
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  PutBucketCorsCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { S3BlobStore } from '../../../src/storage/s3/s3-store.ts';
import type { S3Options } from '../../../src/storage/s3/bucket.ts';
import { createBucket } from '../../support/shared-servers.ts';
import type { S3Address } from '../../support/seaweedfs.ts';
import { startTcpProxy } from '../../support/tcp-proxy.ts';
import type { OpenedStore } from './driver.ts';

/** Opens an S3 store on a new bucket through a proxy; its URLs lead to the server itself. */
export async function openS3(address: S3Address): Promise<OpenedStore> {
  const target = await createBucket(address);
  const proxy = await startTcpProxy(target.endpoint);
  const credentials = { accessKeyId: target.accessKeyId, secretAccessKey: target.secretAccessKey };
  const options: S3Options = {
    bucket: target.bucket,
    region: target.region,
    endpoint: `http://${proxy.address}`,
    publicEndpoint: target.endpoint,
    forcePathStyle: true,
    credentials,
  };
  const store = new S3BlobStore(options);
  const impatient = new S3BlobStore({ ...options, stallTimeoutMs: 2_000 });
  const direct = new S3Client({ ...target, credentials, forcePathStyle: true });
  await direct.send(
    new PutBucketCorsCommand({
      Bucket: target.bucket,
      CORSConfiguration: {
        CORSRules: [
          {
            AllowedOrigins: ['*'],
            AllowedMethods: ['GET', 'PUT'],
            AllowedHeaders: ['*'],
            ExposeHeaders: ['ETag'],
          },
        ],
      },
    }),
  );

  return {
    store,
    secrets: [
      target.bucket,
      proxy.address,
      String(proxy.port),
      target.endpoint,
      target.accessKeyId,
      target.secretAccessKey,
      'missing-bucket',
      'wrong',
    ],
    countUnfinished: async (key) => {
      const list = new ListMultipartUploadsCommand({ Bucket: target.bucket, Prefix: key });
      const { Uploads = [] } = await direct.send(list);
      return Uploads.filter((upload) => upload.Key === key).length;
    },
    contentType: async (key) => {
      const head = await direct.send(new HeadObjectCommand({ Bucket: target.bucket, Key: key }));
      return head.ContentType;
    },
    proxy,
    impatient,
    reopen: () => new S3BlobStore(options),
    unusable: [
      { why: 'the bucket is missing', store: new S3BlobStore({ ...options, bucket: 'missing-bucket' }) },
      {
        why: 'the key is wrong',
        store: new S3BlobStore({ ...options, credentials: { ...credentials, secretAccessKey: 'wrong' } }),
      },
      {
        why: 'the identity is unknown',
        store: new S3BlobStore({ ...options, credentials: { ...credentials, accessKeyId: 'wrong' } }),
      },
    ],
    fail: () => proxy.cut(),
    recover: () => proxy.restore(),
    close: async () => {
      await Promise.all([store.close(), impatient.close()]);
      direct.destroy();
      await proxy.close();
    },
  };
}
