import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { Readable } from 'node:stream';
import { DefaultHttpStack, Upload, type FileReader } from 'tus-js-client';
import { createBucket } from '../test/support/shared-servers.ts';
import { bytesOf, type Content } from './content.ts';
import { startTusServer, type TusServer } from './start-tus.ts';
import type { OpenUploader, Uploader } from './uploaders.ts';

/** tusd with its S3 store. */
export const byTusd: OpenUploader = async ({ tusd }) => {
  const name = 'tusd, S3 store';
  return 'missing' in tusd ? { name, ...tusd } : overTus(name, tusd);
};

/** The Node.js tus server with its S3 store on a separate bucket. */
export const byTusServer: OpenUploader = async ({ store }) => {
  const server = await startTusServer(await createBucket(store));
  const uploader = overTus('@tus/server, S3 store', server);
  return {
    ...uploader,
    async close() {
      await uploader.close();
      await server.kill();
      await server.dispose();
    },
  };
};

/** tusd with tus-js-client, the client for browsers and Node.js. */
export const byTusJsClient: OpenUploader = async ({ tusd }) => {
  const name = 'tusd, tus-js-client';
  if ('missing' in tusd) return { name, ...tusd };
  const agent = new Agent({ keepAlive: true });
  // The types do not declare its options.
  const httpStack = new (DefaultHttpStack as new (options: object) => DefaultHttpStack)({ agent });
  return {
    name,
    serverPids: [tusd.pid!],
    upload: (content) =>
      new Promise<void>((resolve, reject) => {
        const upload = new Upload(content as unknown as Blob, {
          endpoint: tusd.url,
          httpStack,
          fileReader: CONTENT_READER,
          uploadDataDuringCreation: true,
          storeFingerprintForResuming: false,
          retryDelays: null,
          onSuccess: () => resolve(),
          onError: reject,
        });
        upload.start();
      }),
    close: () => agent.destroy(),
  };
};

/** Gives tus-js-client a file as a stream, as from a disk. */
const CONTENT_READER: FileReader = {
  openFile: async (content: Content) => ({
    size: content.sizeBytes,
    slice: async (start) => {
      if (start > 0) throw new Error('the server did not take all of the file at once');
      const value = Readable.from(bytesOf(content), { objectMode: false });
      return { value: Object.assign(value, { size: content.sizeBytes }), done: true };
    },
    close: () => undefined,
  }),
};

/** Uploads by plain HTTP. The request that creates the upload has the bytes, so that tus needs only one request. */
function overTus(name: string, server: TusServer): Uploader {
  const agent = new Agent({ keepAlive: true });
  return {
    name,
    serverPids: [server.pid!],
    upload: async (content) => {
      const headers = {
        'tus-resumable': '1.0.0',
        'upload-length': content.sizeBytes,
        'content-type': 'application/offset+octet-stream',
        'content-length': content.sizeBytes,
      };
      const sent = request(server.url, { method: 'POST', headers, agent });
      const answered = once(sent, 'response');
      answered.catch(() => undefined);
      Readable.from(bytesOf(content), { objectMode: false }).pipe(sent);
      const [response] = await answered;
      response.resume();
      await once(response, 'end');
      const stored = Number(response.headers['upload-offset']);
      if (response.statusCode !== 201 || stored !== content.sizeBytes) {
        throw new Error(`${name} answered ${response.statusCode} and stored ${stored} bytes`);
      }
    },
    close: () => agent.destroy(),
  };
}
