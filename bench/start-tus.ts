import { join } from 'node:path';
import { ROOT, serverProgram } from '../test/support/install.ts';
import { freePort } from '../test/support/ports.ts';
import { makeDir, startServer, type Server, type ServerSpec } from '../test/support/process.ts';
import type { TestBucket } from '../test/support/shared-servers.ts';

/** A server of the tus protocol, and where it takes uploads. */
export type TusServer = Server & { readonly url: string };

/** Starts tusd with its S3 store on a bucket. Fails with the code ENOENT where there is neither tusd nor a Go to build it with. */
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

/** Starts the tus server for Node.js with its S3 store on a bucket. */
export function startTusServer(bucket: TestBucket): Promise<TusServer> {
  return startTus(bucket, '/files', (port) => ({
    name: 'tus-server',
    command: process.execPath,
    args: [join(ROOT, 'bench', 'tus-server.ts')],
    env: { PORT: String(port), BUCKET: bucket.bucket, ENDPOINT: bucket.endpoint },
    ready: async () => (await fetch(`http://127.0.0.1:${port}/files`, { method: 'OPTIONS' })).ok,
  }));
}

/** Both take the key of the store and the place of their temporary files from the environment. */
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
