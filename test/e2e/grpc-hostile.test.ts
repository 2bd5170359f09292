import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { toBinary, create, fromBinary } from '@bufbuild/protobuf';
import { decodeBinaryHeader } from '@connectrpc/connect';
import {
  GetFileRequestSchema,
  ListFilesRequestSchema,
  ListFilesResponseSchema,
  UploadRequestSchema,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { StatusSchema } from '@asset-service/contract/google/rpc/status_pb.js';
import http2, { type ClientHttp2Session, type ClientHttp2Stream, type OutgoingHttpHeaders } from 'node:http2';
import { readFileSync } from 'node:fs';
import { startService, type Service } from '../support/service.ts';
import { clientOf, download, randomContent, upload } from './support/calls.ts';
import { eventually } from '../support/eventually.ts';

const MiB = 2 ** 20;
const NO_MESSAGE = Buffer.alloc(0);

/** What came back. */
interface Answer {
  readonly httpStatus: number | undefined;
  readonly status: string | undefined;
  readonly message: string | undefined;
  readonly trailersOnly: boolean;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
  /** How the stream was closed: 0 in good order. */
  readonly rstCode: number | undefined;
}

describe('gRPC on the wire', () => {
  let service: Service;
  let session: ClientHttp2Session;

  beforeAll(async () => {
    service = await startService({ ASSET_UPLOAD_STALL_TIMEOUT: '2' });
  });

  beforeEach(() => {
    session?.destroy();
    session = http2.connect(service.url);
    session.on('error', () => undefined);
  });

  afterAll(async () => {
    session?.destroy();
    await service?.dispose();
  });

  function open(method: string, headers: OutgoingHttpHeaders = {}): ClientHttp2Stream {
    const stream = session.request({
      ':method': 'POST',
      ':path': `/asset.v1.AssetService/${method}`,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    stream.on('error', () => undefined);
    return stream;
  }

  function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
    return new Promise((resolve) => {
      const chunks: Buffer[] = [];
      let headers: Record<string, unknown> = {};
      let trailersOnly = false;
      stream.on('response', (all, flags) => {
        headers = { ...all };
        trailersOnly = Boolean(flags & http2.constants.NGHTTP2_FLAG_END_STREAM);
      });
      stream.on('trailers', (all) => (headers = { ...headers, ...all }));
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('close', () => {
        const { rstCode } = stream;
        const text = (name: string) => headers[name] as string | undefined;
        const httpStatus = headers[':status'] as number | undefined;
        const message = text('grpc-message') && decodeURIComponent(text('grpc-message')!);
        const body = Buffer.concat(chunks);
        resolve({ httpStatus, status: text('grpc-status'), message, trailersOnly, headers, body, rstCode });
      });
    });
  }

  /** Sends these bytes as they are and ends the request. */
  function exchange(method: string, body: Buffer, headers?: OutgoingHttpHeaders): Promise<Answer> {
    const stream = open(method, headers);
    const answer = answerOf(stream);
    stream.end(body);
    return answer;
  }

  async function expectAlive(): Promise<void> {
    const client = clientOf(service.url);
    const content = randomContent(300_000);
    const file = await upload(client, content);
    expect((await download(client, file.id)).content.equals(content)).toBe(true);
  }

  it('answers a call whose bytes come one at a time', async () => {
    const stream = open('ListFiles');
    const answer = answerOf(stream);
    for (const byte of framed(
      toBinary(ListFilesRequestSchema, create(ListFilesRequestSchema, { pageSize: 3 })),
    )) {
      stream.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    stream.end();
    const { status, body, headers } = await answer;
    expect(status).toBe('0');
    expect(headers).toMatchObject({ ':status': 200, 'content-type': 'application/grpc+proto' });
    expect(headers['x-request-id']).toMatch(/^[\w-]{36}$/);
    expect(body.readUInt32BE(1)).toBe(body.length - 5);
    expect(fromBinary(ListFilesResponseSchema, body.subarray(5)).nextPageToken).toBe('');
  });

  it('tells an error in the headers alone, with its details', async () => {
    const answer = await exchange(
      'GetFile',
      framed(toBinary(GetFileRequestSchema, create(GetFileRequestSchema))),
    );
    expect(answer).toMatchObject({ httpStatus: 200, status: '3', trailersOnly: true, rstCode: 0 });
    const details = decodeBinaryHeader(answer.headers['grpc-status-details-bin'] as string, StatusSchema);
    expect(details.code).toBe(3);
    expect(details.message).toBe(answer.message);
    expect(details.details[0]?.typeUrl).toBe('type.googleapis.com/google.rpc.ErrorInfo');
  });

  it.each([
    ['no message', 'GetFile', NO_MESSAGE, '12'],
    ['two messages', 'GetFile', Buffer.alloc(10), '12'],
    ['half a prefix', 'GetFile', Buffer.alloc(3), '3'],
    ['half a message', 'GetFile', framed(Buffer.alloc(100)).subarray(0, 50), '3'],
    ['half a message in a stream', 'Upload', framed(Buffer.alloc(100)).subarray(0, 50), '3'],
    ['a message of 4 GiB', 'GetFile', Buffer.from('00ffffffff00', 'hex'), '8'],
    ['a message of 4 GiB in a stream', 'Upload', Buffer.from('00ffffffff00', 'hex'), '8'],
    ['one byte more than may be', 'GetFile', Buffer.from('0000400001', 'hex'), '8'],
    ['a compressed message without an encoding', 'GetFile', Buffer.from('010000000100', 'hex'), '3'],
    ['an unknown flag', 'GetFile', Buffer.from('800000000100', 'hex'), '3'],
    ['what is no message', 'GetFile', framed(Buffer.from('ffffffffff', 'hex')), '3'],
  ])('refuses %s', async (_, method, body, status) => {
    const answer = await exchange(method, body);
    expect(answer).toMatchObject({ httpStatus: 200, status, rstCode: 0 });
    expect(answer.message).not.toMatch(/node_modules|\.ts:|\n\s+at /);
    await expectAlive();
  });

  it.each(['', 'x', '1', '1s', '-1S', '123456789S', '1 S', '1.5S', 'S', '1S1S', 'é1S'])(
    'refuses the time %j',
    async (timeout) => {
      const answer = await exchange('ListFiles', Buffer.alloc(5), { 'grpc-timeout': timeout });
      expect(answer).toMatchObject({ httpStatus: 200, status: '3' });
    },
  );

  it.each(['99999999H', '60S', '59999m'])('waits for %s at most', async (timeout) => {
    expect((await exchange('ListFiles', Buffer.alloc(5), { 'grpc-timeout': timeout })).status).toBe('0');
  });

  it('ends a call at its time limit, during any wait', async () => {
    const stream = open('Upload', { 'grpc-timeout': '100m' });
    stream.write(framed(Buffer.alloc(10)).subarray(0, 3));
    expect(await answerOf(stream)).toMatchObject({ status: '4' });
    expect(await exchange('ListFiles', Buffer.alloc(5), { 'grpc-timeout': '0m' })).toMatchObject({
      status: '4',
    });
  });

  it('leaves other protocols to Connect', async () => {
    const body = Buffer.alloc(5);
    const other = (headers: OutgoingHttpHeaders) => exchange('ListFiles', body, headers);
    expect((await other({ ':method': 'PUT' })).httpStatus).toBe(405);
    expect((await other({ 'content-type': 'application/grpc+thrift' })).httpStatus).toBe(415);
    expect((await exchange('Nonsense', body)).httpStatus).toBe(404);
    expect((await other({ 'grpc-encoding': 'snappy' })).status).toBe('12');
    expect((await other({ 'content-type': 'application/grpc+proto' })).status).toBe('0');
    expect((await other({ 'content-type': 'application/grpc-web+proto' })).httpStatus).toBe(200);
  });

  it('abandons an incomplete prefix', async () => {
    const stream = open('Upload');
    stream.write(Buffer.alloc(2));
    expect(await answerOf(stream)).toMatchObject({
      status: '4',
      message: expect.stringMatching(/no data came/),
    });
    await expectAlive();
  });

  it('outlives hundreds of thousands of messages without content', async () => {
    const spec = create(UploadRequestSchema, { firstMessage: { case: 'uploadSpec', value: { file: {} } } });
    const stream = open('Upload');
    const answer = answerOf(stream);
    stream.write(framed(toBinary(UploadRequestSchema, spec)));
    const many = Buffer.alloc(5 * 50_000);
    const before = memoryOf(service);
    for (let sent = 0; sent < 250_000; sent += 50_000) {
      await new Promise((resolve) => stream.write(many, resolve));
    }
    stream.end();
    // They bring nothing and do not say that they are the last.
    expect((await answer).status).toBe('3');
    expect(memoryOf(service) - before).toBeLessThan(100 * MiB);
    await expectAlive();
  });

  it('takes no memory for messages that are promised and do not come', async () => {
    const before = memoryOf(service);
    const streams = Array.from({ length: 500 }, () => {
      const stream = open('GetFile');
      stream.write(Buffer.from('000040000000', 'hex'));
      return stream;
    });
    await expectAlive();
    expect(memoryOf(service) - before).toBeLessThan(200 * MiB);
    for (const stream of streams) stream.close(http2.constants.NGHTTP2_CANCEL);
    await expectAlive();
  });

  it('tells a caller that still sends after the response to stop', async () => {
    const stream = open('Upload');
    const answer = answerOf(stream);
    stream.write(Buffer.from('00ffffffff', 'hex'));
    // It would take for ever otherwise.
    const endless = setInterval(() => stream.destroyed || stream.write(Buffer.alloc(1000)), 20);
    try {
      expect(await answer).toMatchObject({ status: '8', rstCode: 0 });
    } finally {
      clearInterval(endless);
    }
    await expectAlive();
  });

  it('notices a caller who resets the stream', async () => {
    const id = `reset-${process.pid}`;
    const stream = open('Upload', { 'x-request-id': id });
    const spec = create(UploadRequestSchema, { firstMessage: { case: 'uploadSpec', value: { file: {} } } });
    // A request that has not left yet would never be seen.
    await new Promise((resolve) => stream.write(framed(toBinary(UploadRequestSchema, spec)), resolve));
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await eventually(() => {
      const line = service.logLines().find((one) => one['request_id'] === id);
      // Node's client ends its side of a stream that it resets: now and then the end is seen before the reset, and then
      // the upload is one that ended too early.
      expect(['CANCELED', 'INVALID_ARGUMENT']).toContain(line?.['code']);
    });
    await expectAlive();
  });
});

function framed(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** Resident memory of the service, in bytes. */
function memoryOf(service: Service): number {
  const status = readFileSync(`/proc/${service.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}
