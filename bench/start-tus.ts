import { join } from 'node:path';
import { ROOT, serverProgram } from '../test/support/install.ts';
import { freePort } from '../test/support/ports.ts';
import { makeDir, startServer, type Server, type ServerSpec } from '../test/support/process.ts';
import type { TestBucket } from '../test/support/shared-servers.ts';

/** A tus server and its upload URL. */
export type TusServer = Server & { readonly url: string };

/** Starts tusd with its S3 store on a bucket. Fails with the code ENOENT if neither tusd nor Go is installed. */
export async function startTusd(bucket: TestBucket): Promise<TusServer> {
  const command = await serverProgram('tusd');
  return startTus(bucket, '/files/', (port) => ({
    name: 'tusd',
    command,
    args: [
      ...['-host', '127.0.0.1', '-port', String(port), '-s3-bucket', bucket.bucket],
      ...['-s3-endpoint', bucket.endpoint, '-verbose=false', '-show-startup-logs=false'],
    ],
    ready: async () => (await fetch(`http://127.0.0.1:${port}/`)).ok,
  }));
}

/** Starts the Node.js tus server with its S3 store on a bucket. */
export function startTusServer(bucket: TestBucket): Promise<TusServer> {
  return startTus(bucket, '/files', (port) => ({
    name: 'tus-server',
    command: process.execPath,
    args: [join(ROOT, 'bench', 'tus-server.ts')],
    env: { PORT: String(port), BUCKET: bucket.bucket, ENDPOINT: bucket.endpoint },
    ready: async () => (await fetch(`http://127.0.0.1:${port}/files`, { method: 'OPTIONS' })).ok,
  }));
}

/** Both read the store's credentials and their temporary directory from the environment. */
async function startTus(
  bucket: TestBucket,
  path: string,
  specOf: (port: number) => Omit<ServerSpec, 'dir' | 'ownsDir'>,
): Promise<TusServer> {
  const port = await freePort();
  const spec = specOf(port);
  const dir = await makeDir(spec.name);
  const env = {
    ...spec.env,
    AWS_ACCESS_KEY_ID: bucket.accessKeyId,
    AWS_SECRET_ACCESS_KEY: bucket.secretAccessKey,
    AWS_REGION: bucket.region,
    TMPDIR: dir,
  };
  const server = await startServer({ ...spec, env, dir, ownsDir: true });
  return Object.assign(server, { url: `http://127.0.0.1:${port}${path}` });
}
