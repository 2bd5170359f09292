import { fromBinary } from '@bufbuild/protobuf';
import { ErrorInfoSchema } from '@asset-service/contract/google/rpc/error_details_pb.js';
import { StatusSchema } from '@asset-service/contract/google/rpc/status_pb.js';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import http2 from 'node:http2';
import { gzipSync } from 'node:zlib';
import { eventually } from '../support/eventually.ts';
import { startService, type Service } from '../support/service.ts';

/** A field of length 127 of which nothing comes: no message can be read of it. */
const NO_MESSAGE = Buffer.from([0x0a, 0x7f]);

function frame(message: Buffer, flags = 0): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flags;
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

interface Answer {
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
}

describe('a message that cannot be read', () => {
  let service: Service;
  let session: http2.ClientHttp2Session;

  beforeAll(async () => {
    service = await startService({ ASSET_LOG_LEVEL: 'info' });
    session = http2.connect(service.url);
  });

  afterAll(async () => {
    session?.destroy();
    await service?.dispose();
  });

  function send(
    method: string,
    type: string,
    body: Buffer,
    more: Record<string, string> = {},
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const path = `/asset.v1.AssetService/${method}`;
      const stream = session.request({
        ':method': 'POST',
        ':path': path,
        'content-type': type,
        te: 'trailers',
        ...more,
      });
      const headers: Record<string, unknown> = {};
      let text = '';
      stream.on('response', (answer) => Object.assign(headers, answer));
      stream.on('trailers', (trailers) => Object.assign(headers, trailers));
      stream.on('data', (piece: Buffer) => (text += piece.toString('latin1')));
      stream.on('error', reject);
      stream.on('close', () => resolve({ headers, text }));
      stream.end(body);
    });
  }

  /** Code and reason of an answer of any protocol. */
  function failureOf({ headers, text }: Answer): string {
    const details = headers['grpc-status-details-bin'] ?? /grpc-status-details-bin: ?(\S+)/i.exec(text)?.[1];
    if (typeof details === 'string') {
      const status = fromBinary(StatusSchema, Buffer.from(details, 'base64'));
      const info = status.details.find(({ typeUrl }) => typeUrl.endsWith('ErrorInfo'));
      return `${status.code} ${fromBinary(ErrorInfoSchema, info!.value).reason}`;
    }
    const json = /\{.*\}/s.exec(text)?.[0] ?? '{}';
    const parsed = JSON.parse(json) as { code?: string; error?: { code?: string } };
    const code = parsed.code ?? parsed.error?.code;
    return `${code === 'invalid_argument' ? 3 : code} ${/ERROR_REASON_\w+|(?<="reason":")\w+/.exec(json)?.[0]}`;
  }

  const gzip = { 'grpc-encoding': 'gzip', 'connect-content-encoding': 'gzip' };
  const CASES: readonly (readonly [
    name: string,
    method: string,
    type: string,
    body: Buffer,
    more?: Record<string, string>,
  ])[] = [
    ['gRPC', 'GetFile', 'application/grpc', frame(NO_MESSAGE)],
    ['gRPC, in a stream of messages', 'Upload', 'application/grpc', frame(NO_MESSAGE)],
    ['gRPC, before a stream of answers', 'DownloadFile', 'application/grpc', frame(NO_MESSAGE)],
    ['gRPC, compressed', 'GetFile', 'application/grpc', frame(gzipSync(NO_MESSAGE), 1), gzip],
    ['gRPC, compressed as it does not say', 'GetFile', 'application/grpc', frame(gzipSync(NO_MESSAGE), 1)],
    [
      'gRPC, and is not what it says to be compressed by',
      'GetFile',
      'application/grpc',
      frame(Buffer.from('zip'), 1),
      gzip,
    ],
    ['gRPC, behind a mark that nobody knows', 'GetFile', 'application/grpc', frame(NO_MESSAGE, 0x40)],
    ['gRPC with JSON', 'GetFile', 'application/grpc+json', frame(Buffer.from('{'))],
    ['gRPC-Web', 'GetFile', 'application/grpc-web+proto', frame(NO_MESSAGE)],
    ['gRPC-Web, before a stream of answers', 'DownloadFile', 'application/grpc-web+proto', frame(NO_MESSAGE)],
    ['Connect', 'GetFile', 'application/proto', NO_MESSAGE],
    ['Connect with JSON', 'GetFile', 'application/json', Buffer.from('{"fileId":')],
    ['Connect with JSON of another type', 'GetFile', 'application/json', Buffer.from('{"fileId":7}')],
    ['Connect, in a stream of messages', 'Upload', 'application/connect+proto', frame(NO_MESSAGE)],
    [
      'Connect with JSON, in a stream of messages',
      'Upload',
      'application/connect+json',
      frame(Buffer.from('[')),
    ],
  ];

  it.each(CASES)('is INVALID_ARGUMENT with a reason over %s', async (...[, method, type, body, more]) => {
    expect(failureOf(await send(method, type, body, more))).toBe('3 ERROR_REASON_FIELD_INVALID');
  });

  it.each(['!!!', 'a', '%ff'])('is INVALID_ARGUMENT in a GET with %s for base64', async (message) => {
    const query = `encoding=proto&base64=1&message=${message}`;
    const response = await fetch(`${service.url}/asset.v1.AssetService/GetFile?${query}`);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      ...{ code: 'invalid_argument', details: [{ debug: { reason: 'ERROR_REASON_FIELD_INVALID' } }] },
    });
  });

  it('is logged as a refused call with its caller, not as a fault of the service', async () => {
    const { headers } = await send('GetFile', 'application/proto', NO_MESSAGE);
    const line = await eventually(() => {
      const found = service.logLines().find(({ request_id: id }) => id === headers['x-request-id']);
      expect(found).toBeDefined();
      return found;
    });
    expect(line).toMatchObject({
      ...{ level: 30, rpc: 'GetFile', code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID' },
      remote_address: '127.0.0.1',
    });
    expect(service.logLines().filter(({ level }) => Number(level) >= 40)).toEqual([]);
  });
});
