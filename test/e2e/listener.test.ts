import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createClient, type Transport } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { request as requestHttps } from 'node:https';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeDir, removeDir } from '../support/process.ts';
import { healthOf, startService, type Service } from '../support/service.ts';
import { clientOf, download, randomContent, spec, TRANSPORTS, upload, urlOf } from './support/calls.ts';

const MiB = 2 ** 20;

/** Sends raw bytes and returns what comes back until the connection ends or `ms` have passed. */
function exchange(port: number, bytes: string | Buffer, ms = 1_000): Promise<string> {
  return new Promise((resolve) => {
    let got = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    const timer = setTimeout(() => socket.destroy(), ms);
    socket.on('data', (data) => (got += data.toString('latin1')));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(got);
    });
  });
}

describe('the port', () => {
  let service: Service;
  let pid: number | undefined;

  beforeAll(async () => {
    service = await startService();
    pid = service.pid;
  });

  afterAll(() => service?.dispose());

  /** The process is the one that was started, and works. */
  async function expectAlive(): Promise<void> {
    expect(await healthOf(service.url)).toBe('SERVING');
    const client = clientOf(service.url);
    const content = randomContent(100);
    const file = await upload(client, content);
    expect((await download(client, file.id)).content.equals(content)).toBe(true);
    expect(service.pid).toBe(pid);
  }

  it('speaks every protocol', async () => {
    for (const transport of Object.values(TRANSPORTS)) {
      expect((await createClient(AssetService, transport(service.url)).listFiles({})).nextPageToken).toBe('');
    }
  });

  const HOST = 'host: localhost\r\n';
  const H2_PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
  it.each([
    ['random bytes', randomBuffer()],
    ['zeros', Buffer.alloc(100_000)],
    ['one byte', 'P'],
    ['the beginning of HTTP/2', 'PRI * HT'],
    ['HTTP/2 and then random bytes', Buffer.concat([Buffer.from(H2_PREFACE), randomBuffer()])],
    [
      'HTTP/2 and then a frame of 16 MiB',
      Buffer.concat([Buffer.from(H2_PREFACE), Buffer.from('ffffff000000000001', 'hex')]),
    ],
    ['a TLS hello', Buffer.from('160301020001000001fc0303', 'hex')],
    ['a request without a host', 'GET / HTTP/1.1\r\n\r\n'],
    ['a request of HTTP/1.0', 'POST /asset.v1.AssetService/GetFile HTTP/1.0\r\ncontent-length: 2\r\n\r\n{}'],
    ['a request for no path', `GET nonsense HTTP/1.1\r\n${HOST}\r\n`],
    ['a request for a whole URL', `GET http://[::1 HTTP/1.1\r\n${HOST}\r\n`],
    ['a bad percent sign', `GET /blobs/%zz HTTP/1.1\r\n${HOST}\r\n`],
    ['two lengths', `POST / HTTP/1.1\r\n${HOST}content-length: 5\r\ncontent-length: 6\r\n\r\nhello`],
    [
      'a length and chunks',
      `POST / HTTP/1.1\r\n${HOST}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    [
      'a bad chunk',
      `POST /asset.v1.AssetService/GetFile HTTP/1.1\r\n${HOST}content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n`,
    ],
    ['a header of 1 MiB', `GET / HTTP/1.1\r\n${HOST}x: ${'y'.repeat(MiB)}\r\n\r\n`],
    ['ten thousand headers', `GET / HTTP/1.1\r\n${HOST}${'a: b\r\n'.repeat(10_000)}\r\n`],
    ['an upgrade', `GET / HTTP/1.1\r\n${HOST}connection: upgrade\r\nupgrade: websocket\r\n\r\n`],
    [
      'an upgrade to h2c',
      `GET / HTTP/1.1\r\n${HOST}connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n`,
    ],
    ['a CONNECT', `CONNECT example.com:80 HTTP/1.1\r\n${HOST}\r\n`],
    [
      'a host that is none',
      'POST /asset.v1.AssetService/GetFile HTTP/1.1\r\nhost: a b@c:99999\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}',
    ],
  ])('outlives %s', async (_, bytes) => {
    const said = await exchange(service.port, bytes, 400);
    expect(said).not.toMatch(/node_modules|\.ts:|\n\s+at /);
    await expectAlive();
  });

  it('outlives connections that send slowly or nothing, and many of them', async () => {
    const sockets: Socket[] = [];
    for (let i = 0; i < 200; i++) {
      const socket = connect(service.port, '127.0.0.1');
      socket.on('error', () => undefined);
      if (i % 2) socket.write('GET / HTTP/1.1\r\nhost:');
      sockets.push(socket);
    }
    await sleep(300);
    await expectAlive();
    for (const socket of sockets) socket.resetAndDestroy();
    await expectAlive();
  });

  it('outlives callers that vanish in the middle of a call', async () => {
    for (let i = 0; i < 20; i++) {
      const socket = connect(service.port, '127.0.0.1', () => {
        socket.write(
          `POST /asset.v1.AssetService/Upload HTTP/1.1\r\n${HOST}content-type: application/connect+json\r\ntransfer-encoding: chunked\r\n\r\n5\r\n`,
        );
        setTimeout(() => socket.resetAndDestroy(), i * 5);
      });
      socket.on('error', () => undefined);
    }
    await sleep(300);
    await expectAlive();
  });

  it('answers a request of one more than it knows', async () => {
    expect(await exchange(service.port, `BREW / HTTP/1.1\r\n${HOST}\r\n`)).toMatch(/^HTTP\/1\.1 4/);
    expect(await exchange(service.port, 'GET / HTTP/1.1\r\n\r\n')).toMatch(/^HTTP\/1\.1 400/);
    expect((await fetch(`${service.url}/nonsense`)).status).toBeGreaterThanOrEqual(403);
  });

  it('answers on a connection whose other calls are stalled', async () => {
    const client = clientOf(service.url);
    const content = new Uint8Array(8 * MiB);
    const file = await upload(client, content);
    const abort = new AbortController();
    const { signal } = abort;
    // Twenty downloads that nobody reads, and twenty uploads that wait, all of them on one connection.
    for (let i = 0; i < 20; i++) {
      const stream = client.downloadFile({ fileId: file.id }, { signal });
      await stream[Symbol.asyncIterator]().next();
      const stuck = (async function* () {
        yield spec();
        yield { data: { content: new Uint8Array(MiB) } };
        await sleep(30_000, undefined, { ref: false, signal });
      })();
      client.upload(stuck, { signal }).catch(() => undefined);
    }
    await sleep(300);
    for (let i = 0; i < 5; i++) {
      expect((await client.getFile({ fileId: file.id }, { timeoutMs: 10_000 })).file).toEqual(file);
    }
    abort.abort();
    await expectAlive();
  });
});

describe('the port with TLS', () => {
  let dir: string;
  let service: Service;
  const nodeOptions = { rejectUnauthorized: false };

  beforeAll(async () => {
    dir = await makeDir('tls');
    const [cert, key] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
    execFileSync(
      'openssl',
      [
        ...[
          'req',
          '-x509',
          '-newkey',
          'ec',
          '-pkeyopt',
          'ec_paramgen_curve:prime256v1',
          '-nodes',
          '-days',
          '2',
        ],
        ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert],
      ],
      { stdio: 'ignore' },
    );
    service = await startService({ ASSET_TLS_CERT: cert, ASSET_TLS_KEY: key });
  });

  afterAll(async () => {
    await service?.dispose();
    await removeDir(dir);
  });

  const transports: [string, () => Transport][] = [
    ['gRPC', () => createGrpcTransport({ baseUrl: service.url, nodeOptions })],
    [
      'Connect over HTTP/1.1',
      () => createConnectTransport({ baseUrl: service.url, httpVersion: '1.1', nodeOptions }),
    ],
    [
      'Connect over HTTP/2',
      () => createConnectTransport({ baseUrl: service.url, httpVersion: '2', nodeOptions }),
    ],
    ['gRPC-Web', () => createGrpcWebTransport({ baseUrl: service.url, httpVersion: '1.1', nodeOptions })],
  ];

  it.each(transports)('stores and reads over %s', async (name, transport) => {
    const content = randomContent(2 * MiB);
    const store = createClient(AssetService, (name === 'gRPC-Web' ? transports[0]![1] : transport)());
    const file = await upload(store, content);
    expect((await download(createClient(AssetService, transport()), file.id)).content.equals(content)).toBe(
      true,
    );
  });

  it.each([
    [['h2', 'http/1.1'], 'h2'],
    [['http/1.1'], 'http/1.1'],
  ])('agrees by ALPN, from %j, on %s', async (ALPNProtocols, agreed) => {
    const socket = connectTls({
      host: '127.0.0.1',
      port: service.port,
      ALPNProtocols,
      rejectUnauthorized: false,
    });
    await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
    expect(socket.alpnProtocol).toBe(agreed);
    socket.destroy();
  });

  it('gives URLs of https', async () => {
    const client = createClient(AssetService, transports[0]![1]());
    const content = randomContent(1000);
    const url = await urlOf(client, (await upload(client, content)).id);
    expect(url).toMatch(/^https:/);
    const got = await new Promise<Buffer>((resolve, reject) => {
      requestHttps(url, { ca: readFileSync(join(dir, 'cert.pem')) }, (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.on('end', () => resolve(Buffer.concat(pieces)));
      })
        .on('error', reject)
        .end();
    });
    expect(got.equals(content)).toBe(true);
  });

  it.each([
    ['cleartext HTTP', 'GET / HTTP/1.1\r\nhost: localhost\r\n\r\n'],
    ['cleartext HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['random bytes', randomBuffer()],
  ])('outlives %s', async (_, bytes) => {
    await exchange(service.port, bytes, 300);
    expect(await healthOf(service.url)).toBe('SERVING');
  });
});

function randomBuffer(): Buffer {
  return Buffer.from(randomContent(5_000));
}
