/** Runs the Node.js tus server with its S3 store as a process on loopback, configured by the environment. */
import { S3Store } from '@tus/s3-store';
import { Server } from '@tus/server';
import { env } from 'node:process';

const datastore = new S3Store({
  s3ClientConfig: {
    bucket: env['BUCKET']!,
    endpoint: env['ENDPOINT']!,
    region: env['AWS_REGION']!,
    forcePathStyle: true,
  },
});
new Server({ path: '/files', datastore }).listen({ host: '127.0.0.1', port: Number(env['PORT']) });
