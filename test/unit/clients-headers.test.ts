import type { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { createBffClient, type AssetClientOptions, type CallHeaders } from '@asset-service/bff';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Code, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import { crc32c } from '@node-rs/crc32';
import { serviceError, startDouble } from './clients-double.ts';

let open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const each of open.reverse()) await each[Symbol.asyncDispose]();
  open = [];
});

const file = { id: 'abc', name: 'a.txt', sizeBytes: 5n };

/** A client, and what it sent under `traceparent` and `x-request-id` with each call. */
async function start(options: Partial<AssetClientOptions> = {}) {
  const seen: string[] = [];
  const see = (call: HandlerContext) => {
    const { requestHeader } = call;
    seen.push(
      `${call.method.name} ${requestHeader.get('traceparent') ?? '-'} ${requestHeader.get('x-request-id') ?? '-'}`,
    );
  };
  let refusals = 1;
  const methods: Partial<ServiceImpl<typeof AssetService>> = {
    getFile(_, call) {
      see(call);
      if (refusals-- > 0) throw serviceError(Code.Unavailable, 'STORE_UNAVAILABLE', { retryMs: 1 });
      return { file };
    },
    async upload(messages, call) {
      see(call);
      for await (const _ of messages);
      return { writeStatus: { case: 'file', value: file } };
    },
    async *downloadFile(_, call) {
      see(call);
      const content = Buffer.from('hello');
      yield await Promise.resolve({ file, data: { content, crc32c: crc32c(content) } });
    },
    listFiles(_, call) {
      see(call);
      return { files: [] };
    },
    batchGetFileUrls(_, call) {
      see(call);
      return { results: [] };
    },
  };
  const double = await startDouble(methods, { http1: options.transport === 'connect' });
  // Before the client, which may refuse its options.
  open.push(double);
  const client = createBffClient({ baseUrl: double.baseUrl, retry: { baseDelayMs: 1 }, ...options });
  open.push(client);
  return { client, seen };
}

describe.each(['grpc', 'connect'] as const)('headers over %s', (transport) => {
  it('of a call go along with it and with its retries', async () => {
    const { client, seen } = await start({ transport });
    const headers = { traceparent: '00-1-2-01', 'X-Request-Id': 'r-1' };
    await client.getFile('abc', { headers });
    await client.uploadFile(Buffer.from('hello'), { headers });
    (await client.openRead('abc', { headers })).stream.destroy();
    for await (const _ of client.listFiles({ headers }));
    await client.fileUrls(['abc'], { headers }).catch(() => undefined);
    const each = '00-1-2-01 r-1';
    expect(seen).toEqual([
      `GetFile ${each}`,
      `GetFile ${each}`,
      `Upload ${each}`,
      `DownloadFile ${each}`,
      `ListFiles ${each}`,
      `BatchGetFileUrls ${each}`,
    ]);
  });

  it('of a client are requested before each call, and those of the call take precedence', async () => {
    let calls = 0;
    const { client, seen } = await start({ transport, headers: () => ({ traceparent: `t-${++calls}` }) });
    await client.forUser('ann').getFile('abc');
    await client.getFile('abc', { headers: { traceparent: 'own', 'x-request-id': 'r-2' } });
    expect(seen).toEqual(['GetFile t-1 -', 'GetFile t-2 -', 'GetFile own r-2']);
  });

  it.each<[string, CallHeaders]>([
    ['the identity', { Authorization: 'Bearer other' }],
    ['the end user', { 'asset-user-token': 'other' }],
    ['what the protocol sets', { 'content-type': 'text/plain' }],
    ['a name that is none', { 'a b': 'c' }],
    ['a line break in a value', { 'x-request-id': 'secret\r\nauthorization: Bearer x' }],
    ['a value that is no text', { 'x-request-id': undefined as unknown as string }],
  ])('refuse %s', async (_name, headers) => {
    const ofCall = await start({ transport });
    const refused = { name: 'AssetClientError', code: 'INVALID_ARGUMENT', reason: 'OPTION_INVALID' };
    await expect(ofCall.client.getFile('abc', { headers })).rejects.toMatchObject(refused);
    await expect(ofCall.client.uploadFile(Buffer.from('x'), { headers })).rejects.toMatchObject(refused);
    await expect(ofCall.client.openRead('abc', { headers })).rejects.toMatchObject(refused);
    await expect(start({ transport, headers })).rejects.toMatchObject(refused);
    const ofClient = await start({ transport, headers: () => headers });
    const failure: unknown = await ofClient.client.getFile('abc').catch((error: unknown) => error);
    expect(failure).toMatchObject(refused);
    expect(String(failure)).not.toContain('secret');
    await expect(ofClient.client.uploadFile(Buffer.from('x'))).rejects.toMatchObject(refused);
    await expect(ofClient.client.openRead('abc')).rejects.toMatchObject(refused);
    expect([...ofCall.seen, ...ofClient.seen]).toEqual([]);
  });
});
