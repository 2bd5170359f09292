import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { serverProgram } from './install.ts';
import { freePort } from './ports.ts';
import { makeDir, startServer, type Server } from './process.ts';
import { S3_KEYS, type S3Address } from './seaweedfs.ts';

/** A VersityGW of the test: another S3, over a directory. */
export type VersityGW = Server &
  S3Address & {
    /** Directory with a directory for each bucket. */
    readonly root: string;
  };

/** Starts a VersityGW without buckets. Rejects if there is neither Go nor a program to use. */
export async function startVersityGW(): Promise<VersityGW> {
  const program = await serverProgram('versitygw');
  const dir = await makeDir('versitygw');
  const [iam, root] = [join(dir, 'iam'), join(dir, 'root')];
  await Promise.all([mkdir(iam), mkdir(root)]);
  const address = `127.0.0.1:${await freePort()}`;
  const server = await startServer({
    name: 'VersityGW',
    command: program,
    args: [
      ...['--port', address, '--access', S3_KEYS.accessKeyId, '--secret', S3_KEYS.secretAccessKey],
      ...['--iam-dir', iam, '--health', '/health', '--quiet', 'posix', root],
    ],
    dir,
    ownsDir: true,
    ready: async () => (await fetch(`http://${address}/health`)).ok,
  });
  return Object.assign(server, { endpoint: `http://${address}`, region: 'us-east-1', ...S3_KEYS, root });
}
