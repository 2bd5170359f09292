import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import http from 'node:http';
import http2 from 'node:http2';
import { clientOf, randomContent, upload } from '../e2e/support/calls.ts';
import { startService, type Service } from '../support/service.ts';
import { enveloped } from './support/raw-http2.ts';

const EVIL = [
  'evil.example',
  'evil.example:8080',
  '127.0.0.1.evil.example',
  'localhost.evil.example',
  '192.168.1.1',
];
const GOOD = [
  'localhost',
  'LOCALHOST:1',
  'a.localhost',
  'localhost.',
  '127.0.0.1:9',
  '127.1.2.3',
  '[::1]:8080',
  'files.example',
];

/** Requests that a page can make: path, content type, body. */
const WAYS: readonly [string, string, Buffer][] = [
  ['/asset.v1.AssetService/ListFiles', 'application/json', Buffer.from('{}')],
  ['/asset.v1.AssetService/ListFiles', 'application/proto', Buffer.alloc(0)],
  ['/asset.v1.AssetService/ListFiles', 'application/grpc-web+proto', enveloped(Buffer.alloc(0))],
  ['/asset.v1.AssetService/ListFiles', 'application/grpc', enveloped(Buffer.alloc(0))],
  ['/asset.v1.AssetService/Upload', 'application/connect+proto', enveloped(Buffer.alloc(0))],
  ['/grpc.health.v1.Health/Check', 'application/json', Buffer.from('{}')],
  ['/grpc.reflection.v1.ServerReflection/ServerReflectionInfo', 'application/connect+json', Buffer.alloc(0)],
  ['/nothing', 'application/json', Buffer.from('{}')],
];

describe('a page whose name leads to the loopback, while nobody is asked who they are', () => {
  let service: Service;

  beforeAll(async () => {
    service = await startService({ ASSET_PUBLIC_URL: 'https://files.example:8443/assets' });
  });

  afterAll(() => service?.dispose());

  /** The whole response as text: status, headers, body, trailers. */
  const overHttp1 = (host: string, path: string, type: string, body: Buffer, method = 'POST') =>
    new Promise<string>((resolve, reject) => {
      const options = { port: service.port, method, path, headers: { host, 'content-type': type } };
      const sent = http.request({ ...options, host: '127.0.0.1' }, (response) => {
        let text = '';
        response.setEncoding('latin1');
        response.on('data', (piece: string) => (text += piece));
        response.on('end', () =>
          resolve(JSON.stringify([response.statusCode, response.headers, text, response.trailers])),
        );
      });
      sent.on('error', reject);
      sent.end(body);
    });

  const overHttp2 = (host: string, path: string, type: string, body: Buffer) =>
    new Promise<string>((resolve, reject) => {
      const session = http2.connect(service.url);
      session.on('error', reject);
      const stream = session.request({
        ':method': 'POST',
        ':path': path,
        ':authority': host,
        'content-type': type,
      });
      const told: unknown[] = [];
      stream.on('response', (headers) => told.push(headers[':status'], headers));
      stream.on('trailers', (trailers) => told.push(trailers));
      stream.on('data', (piece: Buffer) => told.push(piece.toString('latin1')));
      stream.on('error', reject);
      stream.on('close', () => {
        session.close();
        resolve(JSON.stringify(told));
      });
      stream.end(body);
    });

  const REFUSED = /^\[403|permission_denied|grpc-status"?: ?"?7/;

  it.each(WAYS)(
    'is refused at %s as %s, under any name that is not of this machine',
    async (path, type, body) => {
      for (const host of EVIL) expect(await overHttp2(host, path, type, body)).toMatch(REFUSED);
      for (const host of GOOD) expect(await overHttp2(host, path, type, body)).not.toMatch(REFUSED);
      // gRPC needs HTTP/2.
      if (type === 'application/grpc' || path.includes('reflection')) return;
      for (const host of EVIL) expect(await overHttp1(host, path, type, body)).toMatch(REFUSED);
      for (const host of GOOD) expect(await overHttp1(host, path, type, body)).not.toMatch(REFUSED);
    },
  );

  it('is refused at a URL of a file too, which works under the public name', async () => {
    const client = clientOf(service.url);
    const file = await upload(client, randomContent(10));
    const { url } = await client.getFileUrl({ source: { case: 'fileId', value: file.id } });
    const { pathname, search } = new URL(url);
    const path = (pathname + search).replace('/assets', '');
    expect(await overHttp1('files.example', path, '', Buffer.alloc(0), 'GET')).toMatch(/^\[200/);
    expect(await overHttp1('evil.example', path, '', Buffer.alloc(0), 'GET')).toMatch(/^\[403/);
  });
});
