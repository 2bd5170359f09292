import { freePorts } from './ports.ts';
import { serverProgram } from './install.ts';
import { makeDir, startServer, type Server } from './process.ts';

/** Address and credentials of an S3. */
export interface S3Address {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** A SeaweedFS of the test. */
export type SeaweedFS = Server & S3Address;

/** Credentials of every S3 that the tests start. */
export const S3_KEYS = { accessKeyId: 'asset-test', secretAccessKey: 'asset-test-secret' };

/** Starts a SeaweedFS without buckets that a test may kill and restart. Takes about a second. */
export async function startSeaweedFS(): Promise<SeaweedFS> {
  const program = await serverProgram('weed');
  const dir = await makeDir('seaweedfs');
  const [s3, s3Grpc, master, masterGrpc, volume, volumeGrpc, filer, filerGrpc, admin, adminGrpc] =
    await freePorts(10);
  const endpoint = `http://127.0.0.1:${s3}`;
  const server = await startServer({
    name: 'SeaweedFS',
    command: program,
    args: [
      ...['-logtostderr=true', 'mini', `-dir=${dir}`, '-ip=127.0.0.1', '-ip.bind=127.0.0.1'],
      ...['-master.telemetry=false', '-admin.ui=false', '-webdav=false', '-s3.autoCreateBucket=false'],
      // Every bucket needs its own volume; the default limit is the number of free gigabytes of the disk.
      ...['-volume.max=1000', '-master.volumeSizeLimitMB=128'],
      ...[`-s3.port=${s3}`, `-s3.port.grpc=${s3Grpc}`, '-s3.port.iceberg=0', '-s3.port.lance=0'],
      ...[`-master.port=${master}`, `-master.port.grpc=${masterGrpc}`],
      ...[`-volume.port=${volume}`, `-volume.port.grpc=${volumeGrpc}`],
      ...[`-filer.port=${filer}`, `-filer.port.grpc=${filerGrpc}`],
      ...[`-admin.port=${admin}`, `-admin.port.grpc=${adminGrpc}`],
    ],
    env: { AWS_ACCESS_KEY_ID: S3_KEYS.accessKeyId, AWS_SECRET_ACCESS_KEY: S3_KEYS.secretAccessKey },
    dir,
    ownsDir: true,
    ready: async () => (await fetch(`${endpoint}/healthz`)).ok,
  });
  return Object.assign(server, { endpoint, region: 'us-east-1', ...S3_KEYS });
}
