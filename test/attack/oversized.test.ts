import { createClient, type Interceptor } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import http2 from 'node:http2';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { startService, type Service } from '../support/service.ts';
import {
  clientOf,
  randomContent,
  spec,
  send,
  upload,
  type AssetClient,
  type NewFile,
} from '../e2e/support/calls.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { whileOthersWork } from './support/others.ts';
import { enveloped } from './support/raw-http2.ts';

const MiB = 2 ** 20;
const FAST = { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } };
const long = (length: number) => 'a'.repeat(length);
const ID = 'abcdefghijklmno';

/** Calls with too much of something, and the permitted reasons of the refusal. */
const CALLS: Record<string, [call: (client: AssetClient) => Promise<unknown>, ...reasons: string[]]> = {
  'a file id': [(client) => client.getFile({ fileId: long(MiB) }), 'MESSAGE_TOO_LARGE'],
  'an upload id': [(client) => client.getUpload({ uploadId: long(MiB) }), 'MESSAGE_TOO_LARGE'],
  'an etag': [(client) => client.deleteFile({ fileId: ID, etag: long(MiB) }), 'MESSAGE_TOO_LARGE'],
  'a page token': [(client) => client.listFiles({ pageToken: long(MiB) }), 'MESSAGE_TOO_LARGE'],
  'a filter': [(client) => client.listFiles({ filter: { owner: long(MiB) } }), 'MESSAGE_TOO_LARGE'],
  'a request id': [(client) => uploadOf(client, {}, long(MiB)), 'FIELD_INVALID'],
  'a name': [(client) => uploadOf(client, { name: long(MiB) }), 'FIELD_INVALID'],
  'a content type': [(client) => uploadOf(client, { contentType: `text/${long(MiB)}` }), 'FIELD_INVALID'],
  'an owner': [(client) => uploadOf(client, { owner: long(MiB) }), 'FIELD_INVALID'],
  'a usage': [(client) => uploadOf(client, { usage: long(MiB) }), 'FIELD_INVALID'],
  'an attribute': [
    (client) => uploadOf(client, { attributes: { x: long(MiB) } }),
    'ATTRIBUTE_INVALID',
    'FIELD_INVALID',
  ],
  'a name of an attribute': [
    (client) => uploadOf(client, { attributes: { [long(MiB)]: 1 } }),
    'ATTRIBUTE_INVALID',
    'FIELD_INVALID',
  ],
  attributes: [
    (client) =>
      uploadOf(client, {
        attributes: Object.fromEntries(Array.from({ length: 50_000 }, (_none, i) => [`a${i}`, i])),
      }),
    'ATTRIBUTE_INVALID',
    'FIELD_INVALID',
  ],
  relations: [
    (client) =>
      uploadOf(client, {
        relations: Object.fromEntries(
          Array.from({ length: 20_000 }, (_none, i) => [`r${i}`, { ids: ['x'] }]),
        ),
      }),
    'FIELD_INVALID',
  ],
  'targets of a relation': [
    (client) =>
      uploadOf(client, { relations: { project: { ids: Array.from({ length: 100_000 }, String) } } }),
    'FIELD_INVALID',
  ],
  'paths of a mask': [
    (client) =>
      client.updateMetadata({
        file: { id: ID, name: 'x' },
        updateMask: { paths: Array.from({ length: 200_000 }, (_none, i) => `attributes.a${i}`) },
      }),
    'MESSAGE_TOO_LARGE',
  ],
  'a path of a mask': [
    (client) => client.updateMetadata({ file: { id: ID, name: 'x' }, updateMask: { paths: [long(MiB)] } }),
    'FIELD_INVALID',
    'FIELD_UNKNOWN',
    'FILE_NOT_FOUND',
  ],
  'ids in a batch': [
    (client) => client.batchGetFiles({ fileIds: Array.from({ length: 100_000 }, () => ID) }),
    'MESSAGE_TOO_LARGE',
  ],
  'a million empty ids': [
    (client) => client.batchGetFiles({ fileIds: Array.from({ length: 1_000_000 }, () => '') }),
    'MESSAGE_TOO_LARGE',
  ],
  'a million part numbers': [
    (client) =>
      client.signUploadParts({ uploadId: ID, partNumbers: Array.from({ length: 1_000_000 }, () => 1) }),
    'MESSAGE_TOO_LARGE',
  ],
  'a piece': [
    (client) => client.uploadChunk({ uploadId: ID, data: { content: randomContent(3 * MiB) } }),
    'FIELD_INVALID',
  ],
  'a message': [
    (client) => client.uploadChunk({ uploadId: ID, data: { content: randomContent(5 * MiB) } }),
    'MESSAGE_TOO_LARGE',
  ],
  'a list in a message': [
    (client) => client.batchGetFiles({ fileIds: Array.from({ length: 1_000_000 }, () => ID) }),
    'MESSAGE_TOO_LARGE',
  ],
};

function uploadOf(client: AssetClient, file: NewFile, requestId = ''): Promise<unknown> {
  return send(client, [spec(file, { requestId }), { finishWrite: true }]);
}

describe('too much of', () => {
  let service: Service;
  let client: AssetClient;

  beforeAll(async () => {
    service = await startService();
    client = clientOf(service.url);
  });

  afterAll(() => service?.dispose());

  it.each(Object.entries(CALLS))('%s is refused with a reason', async (_name, [call, ...reasons]) => {
    await whileOthersWork(service, async () => {
      const { reason, code } = await failureOf(call(client));
      expect(reasons).toContain(reason);
      expect(code).not.toMatch(/^(INTERNAL|UNKNOWN)$/);
    });
  });

  it.each([
    ['application/grpc', 101],
    ['application/grpc', 4_000],
    ['application/proto', 4_000],
  ])('nesting is refused (%s, %d levels)', async (type, levels) => {
    await whileOthersWork(service, async () => {
      // A google.protobuf.Value that is a list of one Value, nested.
      let value: Buffer = Buffer.from([0x08, 0x00]);
      for (let i = 0; i < levels && value.length < 3 * MiB; i++) value = field(6, field(1, value));
      const entry = Buffer.concat([field(1, Buffer.from('x')), field(2, value)]);
      const attributes = AssetService.method.startUpload.input;
      expect(attributes.fields[0]?.localName).toBe('uploadSpec');
      const message = field(1, field(1, field(numberOfAttributes(), field(1, entry))));
      const answer = await post(service.url, '/asset.v1.AssetService/StartUpload', type, message);
      expect(answer).toMatch(/maximum(%20| )recursion(%20| )depth/);
      expect(answer).not.toMatch(/RangeError|\.ts:/);
      // Over Connect the framework answers, without a reason.
      if (type === 'application/grpc') expect(answer).toContain('grpc-status-details-bin');
    });
  });

  const empty = (count: number) => Buffer.alloc(2 * count, Buffer.from([0x0a, 0]));
  const json = (start: string, element: string, count: number, end: string) =>
    Buffer.from(start + Array.from({ length: count }, () => element).join(',') + end);
  const described = (value: Buffer) => field(1, field(1, field(numberOfAttributes(), value)));
  const entry = Buffer.concat([field(1, Buffer.from('x')), field(2, Buffer.from([8, 0]))]);

  it.each<[string, string, Buffer]>([
    ['BatchGetFileUrls', 'empty requests', empty(600_000)],
    ['BatchGetFileUrls', 'unknown fields', Buffer.alloc(1_200_000, Buffer.from('f80700', 'hex'))],
    ['BatchGetFileUrls', 'empty requests in JSON', json('{"requests":[', '{}', 400_000, ']}')],
    ['UpdateMetadata', 'empty paths', field(2, empty(600_000))],
    [
      'StartUpload',
      'attributes',
      described(Buffer.concat(Array.from({ length: 100_000 }, () => field(1, entry)))),
    ],
    [
      'StartUpload',
      'brackets in JSON',
      json('{"uploadSpec":{"file":{"attributes":{"x":[', '[]', 400_000, ']}}}}'),
    ],
    ['UploadChunk', 'unknown fields', Buffer.alloc(4_000_000, Buffer.from('f80700', 'hex'))],
    ['UploadChunk', 'unknown keys in JSON', json('{"x":[', '0', 2_000_000, ']}')],
  ])('small elements is refused before they are decoded (%s, %s)', async (method, name, message) => {
    await whileOthersWork(service, async () => {
      const isJson = name.endsWith('JSON');
      const path = `/asset.v1.AssetService/${method}`;
      const types = isJson
        ? ['application/json', 'application/grpc+json']
        : ['application/proto', 'application/grpc', 'application/grpc-web+proto'];
      for (const type of types) {
        for (const encoding of ['identity', 'gzip', 'br']) {
          const answer = await post(service.url, path, type, message, encoding);
          expect([type, encoding, answer]).toEqual([
            type,
            encoding,
            expect.stringMatching(/the( |%20)message( |%20)has( |%20)too( |%20)many( |%20)elements/),
          ]);
        }
      }
    });
  });

  it('headers of a call are accepted or end it', async () => {
    await whileOthersWork(service, async () => {
      const file = await upload(client, randomContent(10));
      const headers: Interceptor = (next) => (request) => {
        request.header.set('x-request-id', long(4_000));
        return next(request);
      };
      const patient = createClient(
        AssetService,
        createGrpcTransport({ baseUrl: service.url, interceptors: [headers] }),
      );
      expect((await patient.getFile({ fileId: file.id })).file?.id).toBe(file.id);
    });
  });
});

/** Field number of a file's attributes. */
function numberOfAttributes(): number {
  const uploadSpec = AssetService.method.startUpload.input.fields[0]!;
  const file = uploadSpec.message!.fields.find(({ localName }) => localName === 'file')!;
  return file.message!.fields.find(({ localName }) => localName === 'attributes')!.number;
}

/** A length-delimited field. */
function field(number: number, value: Buffer): Buffer {
  const length: number[] = [];
  let rest = value.length;
  for (; rest >= 128; rest >>>= 7) length.push((rest & 127) | 128);
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length, rest]), value]);
}

/** The whole response of a unary call, as text. */
function post(
  url: string,
  path: string,
  type: string,
  message: Uint8Array,
  encoding = 'identity',
): Promise<string> {
  const isEnveloped = type.includes('grpc');
  const isPlain = encoding === 'identity';
  const content = isPlain
    ? message
    : encoding === 'br'
      ? brotliCompressSync(message, FAST)
      : gzipSync(message);
  return new Promise((resolve) => {
    const session = http2.connect(url);
    session.on('error', () => undefined);
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': type,
      te: 'trailers',
      ...(!isPlain && { [isEnveloped ? 'grpc-encoding' : 'content-encoding']: encoding }),
    });
    let text = '';
    stream.on('response', (headers) => (text += JSON.stringify(headers)));
    stream.on('trailers', (trailers) => (text += JSON.stringify(trailers)));
    stream.on('data', (data: Buffer) => (text += data.toString('latin1')));
    stream.on('error', () => undefined);
    stream.on('close', () => {
      session.destroy();
      resolve(text);
    });
    stream.end(isEnveloped ? enveloped(content, isPlain ? 0 : 1) : content);
  });
}
