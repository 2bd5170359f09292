/** A tus server of Node.js with its S3 store, as a process of its own, set up by its environment. Answers on the loopback. */
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
