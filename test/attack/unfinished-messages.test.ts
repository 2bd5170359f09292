import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { clientOf, send, spec } from '../e2e/support/calls.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { AUDIENCE, startIssuer, type Issuer } from '../support/issuer.ts';
import { eventually } from '../support/eventually.ts';
import { startService, type Service } from '../support/service.ts';
import { residentMiB, until, whileOthersWork } from './support/others.ts';
import { enveloped, frame, FRAME } from './support/raw-http2.ts';

const MiB = 2 ** 20;
const RPC = '/asset.v1.AssetService';

/** Cost of a few hundred streams and their responses besides the message bytes, in MiB. */
const ROOM_MIB = 150;

/** A call over HTTP/2 whose body begins and never ends. Returns the response. */
function begin(
  session: http2.ClientHttp2Session,
  path: string,
  contentType: string,
  body: Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): { readonly answered: () => boolean; readonly answer: Promise<http2.IncomingHttpHeaders> } {
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': contentType,
    ...headers,
  });
  let done = false;
  stream.on('error', () => undefined);
  stream.resume();
  stream.write(body);
  const answer = new Promise<http2.IncomingHttpHeaders>((resolve) => {
    stream.once('response', (got) => {
      done = true;
      resolve(got);
    });
    stream.once('close', () => {
      done = true;
      resolve({});
    });
  });
  return { answered: () => done, answer };
}

/** The start of a message of 4 MiB in an envelope. */
function half(bytes: number): Buffer {
  const head = Buffer.alloc(5 + bytes);
  head.writeUInt32BE(4 * MiB - 1, 1);
  return head;
}

/**
 * Connects, and waits for the settings of the service: a client of Node.js does not always send on a stream that it
 * began before it knew the larger window.
 */
async function connect(service: Service): Promise<http2.ClientHttp2Session> {
  const session = http2.connect(service.url);
  session.on('error', () => undefined);
  await once(session, 'remoteSettings');
  return session;
}

const TYPES = ['application/grpc', 'application/grpc-web+proto', 'application/proto', 'application/json'];

describe('messages without an end', () => {
  let service: Service;

  beforeAll(async () => {
    service = await startService();
  });

  afterAll(() => service?.dispose());

  it.each(TYPES)('of a small call are refused by their size and held by nobody, as %s', async (type) => {
    await whileOthersWork(service, async () => {
      const before = residentMiB(service);
      const sessions = await Promise.all([connect(service), connect(service)]);
      const body = type.startsWith('application/grpc') ? half(200_000) : Buffer.alloc(200_000, 'a');
      const calls = sessions.flatMap((session) =>
        Array.from({ length: 300 }, () => begin(session, `${RPC}/GetFile`, type, body)),
      );
      const isOver = () => calls.every((call) => call.answered());
      await until(isOver, 'the service answers', 60_000);
      expect(residentMiB(service) - before).toBeLessThan(ROOM_MIB);
      const answers = await Promise.all(calls.filter((call) => call.answered()).map(({ answer }) => answer));
      if (type === 'application/grpc') expect(answers.some((one) => one['grpc-status'] === '8')).toBe(true);
      else expect(answers.some((one) => [200, 429].includes(Number(one[':status'])))).toBe(true);
      for (const session of sessions) session.destroy();
    });
  });

  it('of a large call are bounded for a connection', async () => {
    await whileOthersWork(service, async () => {
      const before = residentMiB(service);
      const session = await connect(service);
      const calls = Array.from({ length: 200 }, () =>
        begin(session, `${RPC}/UploadChunk`, 'application/grpc', half(MiB)),
      );
      await until(() => calls.filter((call) => call.answered()).length > 100, 'the service refuses', 60_000);
      const refused = await Promise.all(calls.filter((call) => call.answered()).map(({ answer }) => answer));
      expect(refused.map((answer) => answer['grpc-status'])).toContain('8');
      expect(residentMiB(service) - before).toBeLessThan(64 + ROOM_MIB);
      session.destroy();
      // The held bytes were released, so the next message is read.
      await eventually(async () => {
        const failure = await failureOf(
          clientOf(service.url).uploadChunk({
            uploadId: 'abcdefghijklmno',
            data: { content: new Uint8Array(MiB) },
          }),
        );
        expect(failure.reason).toBe('UPLOAD_NOT_FOUND');
      });
    });
  });

  it.each([
    ['BatchGetFiles', gzipSync(Buffer.alloc(4 * MiB, Buffer.from('0a00', 'hex')))],
    ['GetFile', gzipSync(Buffer.alloc(4 * MiB, Buffer.from('0a00', 'hex')))],
  ])('and those of %s that inflate are refused by their size', async (method, bomb) => {
    const url = `${service.url}${RPC}/${method}`;
    const headers = { 'content-type': 'application/proto', 'content-encoding': 'gzip' };
    const answer = await fetch(url, { method: 'POST', headers, body: new Uint8Array(bomb) });
    expect(answer.status).toBe(429);
  });

  it.each<[string, string, Uint8Array<ArrayBuffer>]>([
    ['application/proto', 'GetFile', new Uint8Array([255, 255])],
    ['application/grpc-web+proto', 'GetFile', new Uint8Array(enveloped(Buffer.from('ffff', 'hex')))],
    ['application/connect+proto', 'Upload', new Uint8Array(enveloped(Buffer.from('ffff', 'hex')))],
  ])('and those that cannot be read are told so and logged, as %s', async (type, method, body) => {
    const lines = () => service.logLines().filter(({ code }) => code === 'INVALID_ARGUMENT').length;
    const before = lines();
    const answer = await fetch(`${service.url}${RPC}/${method}`, {
      method: 'POST',
      headers: { 'content-type': type },
      body,
    });
    expect(await answer.text()).toMatch(/invalid_argument|grpc-status: 3/);
    await eventually(() => expect(lines()).toBe(before + 1));
  });

  it.each(['{"fileId": ', '[]', '{"fileId": 7}', '{"no": 1}', '{"fileId": {}}', ''])(
    'and JSON that cannot be read is told so: %s',
    async (body) => {
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(`${service.url}${RPC}/GetFile`, { method: 'POST', headers, body });
      expect(answer.status).toBe(400);
      const { code, details } = (await answer.json()) as { code: string; details: { type: string }[] };
      expect({ code, type: details[0]?.type }).toEqual({
        code: 'invalid_argument',
        type: 'google.rpc.ErrorInfo',
      });
    },
  );
});

describe('a connection that never acknowledges settings', () => {
  it('is ended when its window has to become smaller and it sends more than all uploads may', async () => {
    const service = await startService();
    const client = clientOf(service.url);
    let end: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => (end = resolve));
    const slow = Array.from({ length: 5 }, () => {
      async function* messages() {
        yield spec();
        await ended;
        yield { finishWrite: true };
      }
      return send(client, messages());
    });
    try {
      const socket = connectSocket(service.port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.resume();
      socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
      socket.write(frame(FRAME.settings, 0, 0));
      // Frames of a type that a peer has to ignore (RFC 9113, section 5.5).
      const ignored = frame(0xfa, 0, 0, Buffer.alloc(16_000));
      const sending = setInterval(() => {
        while (socket.writable && !socket.writableNeedDrain) socket.write(ignored);
      }, 1);
      const ends = until(() => socket.closed, 'the service ends the connection', 40_000);
      await ends.finally(() => clearInterval(sending));
    } finally {
      end();
      await Promise.all(slow);
      await service.dispose();
    }
  });
});

describe('a stranger', () => {
  let issuer: Issuer;
  let service: Service;

  beforeAll(async () => {
    issuer = await startIssuer();
    const env = { ASSET_AUTH: 'oidc', ASSET_OIDC_ISSUER: issuer.url, ASSET_OIDC_AUDIENCE: AUDIENCE };
    service = await startService(env);
  });

  afterAll(async () => {
    await service?.dispose();
    await issuer?.dispose();
  });

  it.each(TYPES)('is answered before its message is read, over HTTP/2 as %s', async (type) => {
    const session = await connect(service);
    const { answer } = begin(session, `${RPC}/UploadChunk`, type, half(10));
    const { 'grpc-status': status, ':status': httpStatus } = await answer;
    if (type === 'application/grpc') expect(status).toBe('16');
    else expect([200, 401]).toContain(httpStatus);
    session.destroy();
  });

  it.each(['application/proto', 'application/json', 'application/grpc-web+proto'])(
    'is answered before its message is read, over HTTP/1.1 as %s',
    async (type) => {
      const headers = { 'content-type': type, 'content-length': String(4 * MiB) };
      const options = { port: service.port, method: 'POST', path: `${RPC}/UploadChunk`, headers };
      const status = await new Promise((resolve, reject) => {
        const sent = http.request(options, (response) => {
          response.resume();
          resolve(response.statusCode);
          sent.destroy();
        });
        sent.on('error', reject);
        sent.write(Buffer.alloc(300_000));
      });
      expect(status).toBe(type.includes('grpc-web') ? 200 : 401);
    },
  );
});
