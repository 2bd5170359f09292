import { ListMultipartUploadsCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { adminOf, addTargets } from '../../conformance/file-catalog/pocketbase-admin.ts';
import { startPocketBase, type PocketBaseServer } from '../../support/pocketbase.ts';
import { makeDir, removeDir } from '../../support/process.ts';
import type { S3Address } from '../../support/seaweedfs.ts';
import { createBucket, createDatabase, type TestBucket } from '../../support/shared-servers.ts';

/** A blob store and a file catalog for the service, empty and of one's own. */
export interface Setup {
  /** The settings that make a service use them; those of every replica. */
  readonly env: Readonly<Record<string, string>>;
  /** Ids that the relation `project` may point to. */
  readonly projects: readonly string[];
  /** Where the files of the store can be had past the service; undefined if it is the service itself. */
  readonly bucket: TestBucket | undefined;
  /** The names of all that lies in the store, finished or not. */
  blobs(): Promise<string[]>;
  /** Removes everything. */
  dispose(): Promise<void>;
}

/** A kind of {@link Setup}. */
export interface SetupKind {
  /** Names of store and catalog, for the title of a test. */
  readonly name: string;
  /** True if several processes may use it at once. */
  readonly shared: boolean;
  /** Makes one, on servers of the run where `servers` names no others. */
  open(servers?: { readonly s3?: S3Address; readonly pocketbase?: PocketBaseServer }): Promise<Setup>;
}

/** What the service runs on with nothing configured. */
export const EMBEDDED: SetupKind = {
  name: 'filesystem and SQLite',
  shared: false,
  async open() {
    const dir = await makeDir('embedded');
    return {
      env: { ASSET_DATA_DIR: dir },
      projects: ['project0', 'project1'],
      bucket: undefined,
      blobs: async () => {
        const entries = await readdir(dir, { recursive: true, withFileTypes: true });
        return entries
          .filter((entry) => entry.isFile() && !/^(catalog\.sqlite|url-signing\.key)/.test(entry.name))
          .map((entry) => join(entry.parentPath, entry.name));
      },
      dispose: () => removeDir(dir),
    };
  },
};

/** What it runs on in production today. */
export const POCKETBASE: SetupKind = {
  name: 'SeaweedFS and PocketBase',
  shared: true,
  async open({ s3, pocketbase } = {}) {
    const bucket = await createBucket(s3);
    const server = pocketbase ?? (await startPocketBase());
    const projects = await makeCollections(server);
    return {
      env: {
        ...s3Env(bucket),
        ASSET_CATALOG: 'pocketbase',
        ASSET_POCKETBASE_URL: server.url,
        ASSET_POCKETBASE_EMAIL: server.email,
        ASSET_POCKETBASE_PASSWORD: server.password,
      },
      projects,
      bucket,
      blobs: () => blobsIn(bucket),
      dispose: () => (pocketbase ? Promise.resolve() : server.dispose()),
    };
  },
};

/** What it can run on without PocketBase. */
export const POSTGRES: SetupKind = {
  name: 'SeaweedFS and PostgreSQL',
  shared: true,
  async open({ s3 } = {}) {
    const bucket = await createBucket(s3);
    const url = await createDatabase();
    return {
      env: { ...s3Env(bucket), ASSET_CATALOG: 'postgres', ASSET_POSTGRES_URL: url },
      projects: ['project0', 'project1'],
      bucket,
      blobs: () => blobsIn(bucket),
      dispose: () => Promise.resolve(),
    };
  },
};

/** Settings of a service that stores in a bucket. */
export function s3Env({ endpoint, region, bucket, accessKeyId, secretAccessKey }: TestBucket) {
  return {
    ...{ ASSET_STORE: 's3', ASSET_S3_ENDPOINT: endpoint, ASSET_S3_REGION: region, ASSET_S3_BUCKET: bucket },
    ...{ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
  };
}

/** A collection of files as a product might have it, which the service finds when it comes. */
async function makeCollections(server: PocketBaseServer): Promise<readonly string[]> {
  const admin = await adminOf(server);
  const project = await addTargets(admin, 'projects');
  await admin.collections.create({
    name: 'files',
    type: 'base',
    fields: [
      { name: 'project', type: 'relation', collectionId: project.collectionId, maxSelect: 10 },
      { name: 'title', type: 'text' },
      { name: 'width', type: 'number' },
      { name: 'extra', type: 'json' },
    ],
  });
  return project.ids;
}

/** The keys in a bucket, with those of unfinished uploads. */
export async function blobsIn({ bucket, ...address }: TestBucket): Promise<string[]> {
  const client = new S3Client({ ...address, forcePathStyle: true, credentials: address });
  try {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
    return [...Contents, ...Uploads].map(({ Key = '' }) => Key);
  } finally {
    client.destroy();
  }
}
