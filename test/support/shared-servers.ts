import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { randomBytes } from 'node:crypto';
import { query } from './postgres.ts';
import type { S3Address } from './seaweedfs.ts';

/**
 * Environment variables with the servers of a test run. `global-setup.ts` sets the missing ones; set one before the
 * run to use another server.
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

/** A bucket and its server. */
export interface TestBucket extends S3Address {
  readonly bucket: string;
}

/** Creates a bucket on the SeaweedFS of the run or on `address`. It is not removed. */
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

/** Creates an empty database on the PostgreSQL of the run or on `serverUrl`; returns its URL. */
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

/** The VersityGW of the run, or why it is missing. */
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
