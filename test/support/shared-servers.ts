import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { randomBytes } from 'node:crypto';
import { query } from './postgres.ts';
import type { S3Address } from './seaweedfs.ts';

/**
 * The environment by which the servers of a test run are found. `global-setup.ts` sets what is missing;
 * whoever sets one of them before the run has the tests use that server instead.
 */
export const SHARED = {
  /** A SeaweedFS, or any other S3, such as `http://127.0.0.1:8333`. */
  s3Endpoint: 'ASSET_TEST_S3_ENDPOINT',
  /** A VersityGW. */
  versitygwEndpoint: 'ASSET_TEST_VERSITYGW_ENDPOINT',
  /** Why there is no VersityGW. */
  versitygwMissing: 'ASSET_TEST_VERSITYGW_MISSING',
  /** URL of a database of a PostgreSQL, for a user that may create databases. */
  postgresUrl: 'ASSET_TEST_POSTGRES_URL',
  /** Keys of both S3s, which must be allowed to create buckets. */
  accessKeyId: 'AWS_ACCESS_KEY_ID',
  secretAccessKey: 'AWS_SECRET_ACCESS_KEY',
} as const;

/** A bucket and how to reach it. */
export interface TestBucket extends S3Address {
  readonly bucket: string;
}

/** Makes a bucket of one's own, on the SeaweedFS of the run or on `address`. It goes with its server. */
export async function createBucket(address: S3Address = sharedS3()): Promise<TestBucket> {
  const bucket = `test-${randomBytes(8).toString('hex')}`;
  const client = new S3Client({
    endpoint: address.endpoint,
    region: address.region,
    forcePathStyle: true,
    credentials: { accessKeyId: address.accessKeyId, secretAccessKey: address.secretAccessKey },
  });
  try {
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
  } finally {
    client.destroy();
  }
  return { ...address, bucket };
}

/** Makes an empty database, on the PostgreSQL of the run or on `serverUrl`, and returns its URL. */
export async function createDatabase(serverUrl: string = required(SHARED.postgresUrl)): Promise<string> {
  const name = `test_${randomBytes(8).toString('hex')}`;
  await query(serverUrl, `create database ${name}`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

/** The SeaweedFS of the run. */
export function sharedS3(): S3Address {
  return s3At(required(SHARED.s3Endpoint));
}

/** The VersityGW of the run, or why there is none. */
export function sharedVersityGW(): S3Address | { readonly missing: string } {
  const missing = process.env[SHARED.versitygwMissing];
  return missing ? { missing } : s3At(required(SHARED.versitygwEndpoint));
}

function s3At(endpoint: string): S3Address {
  return {
    endpoint,
    region: process.env.AWS_REGION ?? 'us-east-1',
    accessKeyId: required(SHARED.accessKeyId),
    secretAccessKey: required(SHARED.secretAccessKey),
  };
}

function required(name: string): string {
  const value = process.env[name];
  if (!value)
    throw new Error(`${name} is not set: this test belongs to the project "servers" of jest.config.js`);
  return value;
}
