import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { startService, type Service } from '../support/service.ts';
import { clientOf, randomContent, send, spec, TRANSPORTS, upload } from './support/calls.ts';
import { eventually } from '../support/eventually.ts';
import { failureOf } from './support/failures.ts';

describe('errors', () => {
  let service: Service;

  beforeAll(async () => {
    service = await startService();
  });

  afterAll(() => service?.dispose());

  describe.each(Object.keys(TRANSPORTS))('over %s', (name) => {
    const client = () => createClient(AssetService, TRANSPORTS[name]!(service.url));

    it('carry code, reason and details', async () => {
      expect(await failureOf(client().getFile({ fileId: 'missing00000000' }))).toMatchObject({
        ...{ code: 'NOT_FOUND', reason: 'FILE_NOT_FOUND', metadata: { file_id: 'missing00000000' } },
      });
      expect(await failureOf(client().getFile({}))).toMatchObject({
        ...{ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID', fields: ['file_id'] },
      });
    });

    it('carry them at the end of a stream', async () => {
      const read = async () => {
        for await (const _ of client().downloadFile({ fileId: 'missing00000000' }));
      };
      expect(await failureOf(read())).toMatchObject({ code: 'NOT_FOUND', reason: 'FILE_NOT_FOUND' });
    });

    it('tell of a message that is too large, and go on with the next', async () => {
      // What cannot be read as a message gets its code from the protocol alone.
      for (let i = 0; i < 3; i++) {
        const fileIds = Array.from({ length: 5 + i }, () => 'x'.repeat(2 ** 20));
        const call = client().batchGetFiles({ fileIds }, { timeoutMs: 5_000 });
        await expect(call).rejects.toMatchObject({ code: Code.ResourceExhausted });
      }
      expect((await client().listFiles({}, { timeoutMs: 5_000 })).nextPageToken).toBe('');
    });

    // Over gRPC-Web nothing is streamed to the service.
    if (!name.startsWith('gRPC-Web')) {
      it('reach a caller that is still sending', async () => {
        const early = async function* () {
          yield spec();
          yield { writeOffset: 5n, data: { content: randomContent(10) } };
          for (let i = 0; i < 30; i++) {
            yield { data: { content: randomContent(2 ** 20) } };
            await sleep(10);
          }
        };
        for (let i = 0; i < 3; i++) {
          expect(await failureOf(send(client(), early(), { timeoutMs: 10_000 }))).toMatchObject({
            ...{ code: 'OUT_OF_RANGE', reason: 'WRITE_OFFSET_MISMATCH' },
          });
        }
      });
    }

    it('have the id of the call, which the caller may choose', async () => {
      const error = await client()
        .getFile({ fileId: 'x' }, { headers: { 'x-request-id': 'my-call-1' } })
        .catch((thrown: unknown) => ConnectError.from(thrown));
      expect((error as ConnectError).metadata.get('x-request-id')).toBe('my-call-1');
      await eventually(() => {
        const line = service.logLines().findLast(({ rpc }) => rpc === 'GetFile');
        expect(line).toMatchObject({ request_id: 'my-call-1', code: 'NOT_FOUND' });
      });
    });

    it('ignore a call id that would break a log or a header', async () => {
      const error = await client()
        .getFile({ fileId: 'x' }, { headers: { 'x-request-id': 'a b"{}' } })
        .catch((thrown: unknown) => ConnectError.from(thrown));
      expect((error as ConnectError).metadata.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    });
  });

  /** A POST as a program without any library makes it. */
  function post(
    path: string,
    body: string | Buffer,
    headers: Record<string, string>,
  ): Promise<[number, string]> {
    return new Promise((resolve, reject) => {
      const sent = request(`${service.url}${path}`, { method: 'POST', headers }, (response) => {
        let text = '';
        response.on('data', (piece: Buffer) => (text += piece.toString()));
        response.on('end', () => resolve([response.statusCode!, text]));
      });
      sent.on('error', reject);
      sent.end(body);
    });
  }

  const JSON_TYPE = { 'content-type': 'application/json' };
  const SECRETS = /node_modules|\.ts|\n\s+at |\/tmp\/|ECONN/;

  it.each([
    ['no JSON', '{'],
    ['another type', '[]'],
    ['an unknown field', '{"nonsense":1}'],
    ['a wrong type', '{"fileId":{}}'],
    ['nothing', ''],
  ])('answer a body that is %s with INVALID_ARGUMENT', async (_, body) => {
    const [status, text] = await post('/asset.v1.AssetService/GetFile', body, JSON_TYPE);
    expect(status).toBe(400);
    expect(JSON.parse(text)).toMatchObject({ code: 'invalid_argument' });
    expect(text).not.toMatch(SECRETS);
  });

  it.each([
    ['/asset.v1.AssetService/Nonsense', 404],
    ['/asset.v1.Nonsense/GetFile', 404],
    ['/', 404],
    ['/blobs/nonsense', 405],
    ['/../../etc/passwd', 404],
  ])('answer the path %s with %i', async (path, status) => {
    const answer = await post(path, '{}', JSON_TYPE);
    expect(answer[1]).not.toMatch(SECRETS);
    expect(answer[0]).toBe(status);
  });

  it('answer an unknown method over gRPC with UNIMPLEMENTED', async () => {
    const { getFile } = AssetService.method;
    const method = { ...getFile, name: 'Nonsense' } as typeof getFile;
    const transport = TRANSPORTS['gRPC']!(service.url);
    const error = await transport
      .unary(method, undefined, undefined, undefined, {})
      .catch((thrown: unknown) => thrown);
    expect((error as ConnectError).code).toBe(Code.Unimplemented);
  });

  it.each([
    ['application/grpc', Buffer.from('nonsense')],
    ['application/grpc-web+proto', Buffer.from([0, 0, 0, 0, 9, 1])],
    ['application/proto', Buffer.from([0xff, 0xff, 0xff])],
    ['application/connect+proto', Buffer.from('\u0000\u0000\u0000\u0000\u0001')],
    ['text/plain', 'hello'],
  ])('answer damaged %s without a fault', async (type, body) => {
    const [, text] = await post('/asset.v1.AssetService/GetFile', body, { 'content-type': type });
    expect(text).not.toMatch(SECRETS);
    await upload(clientOf(service.url), randomContent(1));
  });

  it('are no fault of the service that its log would show', async () => {
    await failureOf(send(clientOf(service.url), [spec()]));
    expect(service.logLines().filter(({ level }) => Number(level) >= 50)).toEqual([]);
  });

  it('leave one line in the log for each call, with its code and no content', async () => {
    const client = clientOf(service.url);
    const headers = { authorization: 'Bearer very-secret', 'x-request-id': 'logged' };
    await upload(client, randomContent(5), { file: { name: 'private name' }, headers });
    const logged = () => service.logLines().filter((line) => line['request_id'] === 'logged');
    const lines = await eventually(() =>
      logged().length > 0 ? logged() : Promise.reject(new Error('no line')),
    );
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ rpc: 'Upload', code: 'OK', bytes: 5 });
    expect(service.log()).not.toContain('very-secret');
    expect(service.log()).not.toContain('private name');
  });
});
