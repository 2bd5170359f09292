import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import http, { type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { eventually } from '../support/eventually.ts';
import { startService, type Service } from '../support/service.ts';
import { clientOf, download, randomContent, upload } from './support/calls.ts';
import { POSTGRES, type Setup } from './support/setups.ts';

const MiB = 2 ** 20;

/** Requests that begin a multipart upload, and those that list what is unfinished. */
const begins = ({ method, url }: IncomingMessage) => method === 'POST' && /[?&]uploads/.test(url!);
const lists = ({ method, url }: IncomingMessage) => method === 'GET' && /[?&]uploads/.test(url!);

describe('the beginning of a large upload whose answer is lost', () => {
  let setup: Setup;
  let proxy: Server;
  let service: Service;
  /** Which requests the store carries out without anybody being told. */
  let isLost: (request: IncomingMessage) => boolean;
  let lost: number;

  beforeEach(async () => {
    setup = await POSTGRES.open();
    lost = 0;
    isLost = () => false;
    const target = new URL(setup.bucket!.endpoint);
    proxy = http.createServer((request, response) => {
      const { method, url: path, headers } = request;
      const options = { hostname: target.hostname, port: target.port, method, path, headers };
      const sent = http.request(options, (answer) => {
        if (isLost(request)) {
          lost++;
          answer.resume();
          request.socket.destroy();
          return;
        }
        response.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(response);
      });
      sent.on('error', () => request.socket.destroy());
      request.pipe(sent);
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    service = await startService({
      ...setup.env,
      ASSET_S3_ENDPOINT: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
      ASSET_SWEEP_INTERVAL: '0.5',
      ASSET_RESERVATION_TTL: '4',
    });
  });

  afterEach(async () => {
    await service?.dispose();
    proxy?.closeAllConnections();
    proxy?.close();
    await setup?.dispose();
  });

  it('leaves nothing unfinished beside the file', async () => {
    isLost = (request) => begins(request) && lost === 0;
    const content = randomContent(20 * MiB);
    const file = await upload(clientOf(service.url), content);
    expect(lost).toBe(1);
    expect(await setup.blobs()).toEqual([expect.stringContaining(file.id)]);
    expect((await download(clientOf(service.url), file.id)).content.equals(content)).toBe(true);
  });

  it('leaves it to the sweeper where it cannot be removed at once', async () => {
    let listing = true;
    isLost = (request) => (begins(request) && lost === 0) || (lists(request) && listing);
    const content = randomContent(20 * MiB);
    const file = await upload(clientOf(service.url), content);
    expect(await setup.blobs()).toHaveLength(2);
    listing = false;
    const names = [expect.stringContaining(file.id)];
    await eventually(async () => expect(await setup.blobs()).toEqual(names));
    expect((await download(clientOf(service.url), file.id)).content.equals(content)).toBe(true);
  });
});
