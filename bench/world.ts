import { S3Client } from '@aws-sdk/client-s3';
import { startPocketBase, type PocketBaseServer } from '../test/support/pocketbase.ts';
import type { Server } from '../test/support/process.ts';
import { startSeaweedFS, type SeaweedFS } from '../test/support/seaweedfs.ts';
import { startService, type Service } from '../test/support/service.ts';
import { createBucket, type TestBucket } from '../test/support/shared-servers.ts';
import { startTusd, type TusServer } from './start-tus.ts';

/** The servers of a case, newly started. */
export interface World {
  readonly bucket: TestBucket;
  /** SeaweedFS with `bucket`. */
  readonly store: SeaweedFS;
  readonly pocketbase: PocketBaseServer;
  /** The service on the store and PocketBase. */
  readonly service: Service;
  /** The settings of `service`, to start another process. */
  readonly serviceSettings: Readonly<Record<string, string>>;
  /** tusd with its S3 store on a separate bucket, or why it is missing. */
  readonly tusd: TusServer | { readonly missing: string };
  /** An S3 client with the SDK's defaults, as a program without the service would use. */
  readonly s3: S3Client;
  close(): Promise<void>;
}

/** Options of {@link openWorld}. */
export interface WorldOptions {
  /** False skips tusd, whose first build takes a minute. */
  readonly withTusd: boolean;
  /** Directory for the service's CPU profile, written at its end; no profile if omitted. */
  readonly profileDir?: string;
}

/** Starts all servers. Takes about five seconds. */
export async function openWorld(options: WorldOptions): Promise<World> {
  const servers: Server[] = [];
  const keep = <T extends Server>(server: T): T => {
    servers.unshift(server);
    return server;
  };
  const close = async () => {
    for (const server of servers) {
      // Killed, because SeaweedFS takes long to stop normally and nothing is needed any more.
      await server.kill();
      await server.dispose();
    }
  };
  try {
    const store = keep(await startSeaweedFS());
    const bucket = await createBucket(store);
    const pocketbase = keep(await startPocketBase());
    const tusd = options.withTusd
      ? await startTusd(await createBucket(store)).catch(whyMissing)
      : { missing: 'left out of a quick run' };
    if (!('missing' in tusd)) keep(tusd);
    const serviceSettings = settingsOf(bucket, pocketbase);
    const profiling = `--cpu-prof --cpu-prof-dir=${options.profileDir}`;
    const service = keep(
      await startService(
        { ...serviceSettings, ...(options.profileDir && { NODE_OPTIONS: profiling }) },
        { built: true },
      ),
    );
    const { endpoint, region, accessKeyId, secretAccessKey } = bucket;
    const credentials = { accessKeyId, secretAccessKey };
    const s3 = new S3Client({ endpoint, region, forcePathStyle: true, credentials });
    return {
      ...{ bucket, store, pocketbase, service, serviceSettings, tusd, s3 },
      async close() {
        s3.destroy();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function settingsOf(bucket: TestBucket, pocketbase: PocketBaseServer): Record<string, string> {
  return {
    ASSET_STORE: 's3',
    ASSET_S3_ENDPOINT: bucket.endpoint,
    ASSET_S3_REGION: bucket.region,
    ASSET_S3_BUCKET: bucket.bucket,
    AWS_ACCESS_KEY_ID: bucket.accessKeyId,
    AWS_SECRET_ACCESS_KEY: bucket.secretAccessKey,
    ASSET_CATALOG: 'pocketbase',
    ASSET_POCKETBASE_URL: pocketbase.url,
    ASSET_POCKETBASE_EMAIL: pocketbase.email,
    ASSET_POCKETBASE_PASSWORD: pocketbase.password,
    ASSET_LOG_LEVEL: 'warn',
    ...{ ASSET_LIMIT_READS: '0', ASSET_LIMIT_WRITES: '0' },
  };
}

function whyMissing(error: unknown): { missing: string } {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  return { missing: 'no Go to build it with; install Go or set ASSET_TEST_TUSD_BIN' };
}
