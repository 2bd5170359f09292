import { PutBucketPolicyCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { TestBucket } from '../shared-servers.ts';

/** The old bucket, as its operators and writers access it. */
export interface LegacyBucket extends TestBucket {
  readonly client: S3Client;
  /** Stores an object directly. */
  put(key: string, content: Uint8Array, contentType?: string): Promise<void>;
  /** Public URL of an object. */
  publicUrl(key: string): string;
}

/** Creates a bucket that everybody can read and list. */
export async function openLegacyBucket(bucket: TestBucket): Promise<LegacyBucket> {
  const { endpoint, region, accessKeyId, secretAccessKey, bucket: name } = bucket;
  const credentials = { accessKeyId, secretAccessKey };
  const client = new S3Client({ endpoint, region, forcePathStyle: true, credentials });
  const policy = {
    Version: '2012-10-17',
    Statement: [
      { Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: `arn:aws:s3:::${name}/*` },
      { Effect: 'Allow', Principal: '*', Action: 's3:ListBucket', Resource: `arn:aws:s3:::${name}` },
    ],
  };
  await client.send(new PutBucketPolicyCommand({ Bucket: name, Policy: JSON.stringify(policy) }));
  return {
    ...bucket,
    client,
    publicUrl: (key) => `${endpoint}/${name}/${key.split('/').map(encodeURIComponent).join('/')}`,
    async put(key, content, contentType) {
      const type = contentType === undefined ? {} : { ContentType: contentType };
      await client.send(new PutObjectCommand({ Bucket: name, Key: key, Body: content, ...type }));
    },
  };
}
