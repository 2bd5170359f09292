import { type BffClient, createBffClient } from '@asset-service/bff';
import {
  type AssetClient,
  AssetClientError,
  createWorkerClient,
  httpStatus,
  type UploadSource,
} from '@asset-service/worker';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Code } from '@connectrpc/connect';
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { type Double, serviceError, startDouble } from './clients-double.ts';

const content = Buffer.from('hello');
const sha256 = createHash('sha256').update(content).digest();
/** Ids of the calls that the double had to serve. */
const asked: string[][] = [];
const pages: { readonly pageToken: string; readonly pageSize: number }[] = [];

let double: Double;
let client: AssetClient;
let bff: BffClient;
beforeAll(async () => {
  double = await startDouble({
    // Answers at most two ids at once, as a service does whose answer would grow too long.
    batchGetFiles: ({ fileIds }) => {
      asked.push(fileIds);
      const some = fileIds.slice(0, 2);
      return {
        files: some.filter((id) => id !== 'none').map((id) => ({ id, name: `name of ${id}` })),
        missingFileIds: some.filter((id) => id === 'none'),
      };
    },
    deleteFile: ({ fileId }) => {
      if (fileId === 'none') throw serviceError(Code.NotFound, 'FILE_NOT_FOUND');
      return { file: { id: fileId } };
    },
    listFiles: ({ pageToken, pageSize }) => {
      pages.push({ pageToken, pageSize });
      return { files: [{ id: `after-${pageToken}` }], nextPageToken: pageToken === '' ? 'second' : '' };
    },
    downloadFile: async function* ({ fileId, readOffset }) {
      const bytes = fileId === 'damaged' ? Buffer.from('HELLO') : content;
      const file = { id: fileId, sizeBytes: BigInt(content.length), checksums: { sha256 } };
      yield { file, data: { content: bytes.subarray(Number(readOffset)) } };
    },
    startUpload: () => ({ uploadId: 'abc', partSizeBytes: 1048576n }),
    cancelUpload: () => ({}),
    upload: async (requests) => {
      for await (const _ of requests);
      return { writeStatus: { case: 'file', value: { id: 'abc' } } };
    },
  });
  client = createWorkerClient({ baseUrl: double.baseUrl, retry: { retries: 0 } });
  bff = createBffClient({ baseUrl: double.baseUrl, retry: { retries: 0 } });
});
afterAll(async () => {
  client.close();
  bff.close();
  await double[Symbol.asyncDispose]();
});

const circle: Record<string, unknown> = {};
circle['self'] = circle;

describe('calls for many files', () => {
  it('get records in the order asked, each or its error', async () => {
    const results = await client.getFiles(['c', 'none', 'a', 'c', 'b']);
    expect(results.map(({ id, file, error }) => [id, file?.name ?? error?.reason])).toEqual([
      ...[
        ['c', 'name of c'],
        ['none', 'FILE_NOT_FOUND'],
        ['a', 'name of a'],
      ],
      ...[
        ['c', 'name of c'],
        ['b', 'name of b'],
      ],
    ]);
    expect(results[1]!.error).toMatchObject({ code: 'NOT_FOUND', metadata: { file_id: 'none' } });
    expect(asked).toEqual([
      ['c', 'none', 'a', 'b'],
      ['a', 'b'],
    ]);
    expect(await client.getFiles([])).toEqual([]);
  });

  it('delete, each or its error', async () => {
    const results = await client.deleteFiles(['a', 'none', 'b'], { concurrency: 2 });
    expect(results.map(({ id, file, error }) => [id, file?.id ?? error?.code])).toEqual([
      ...[
        ['a', 'a'],
        ['none', 'NOT_FOUND'],
        ['b', 'b'],
      ],
    ]);
  });

  it.each<[string, (list: never) => Promise<unknown>]>([
    ['getFiles', (list) => client.getFiles(list)],
    ['deleteFiles', (list) => client.deleteFiles(list)],
    ['fileUrls', (list) => bff.fileUrls(list)],
    ['a relation of an upload', (list) => client.uploadFile(content, { relations: { project: list } })],
    ['a relation of a change', (list) => client.updateMetadata('abc', { relations: { project: list } })],
  ])('take a list of ids and nothing else: %s', async (_name, call) => {
    for (const list of ['abc', null, { length: 1 }, ['a', null], [7]]) {
      await expect(call(list as never)).rejects.toMatchObject({
        ...{ name: 'AssetClientError', code: 'INVALID_ARGUMENT', reason: 'OPTION_INVALID' },
      });
    }
  });

  it.each<[string, object]>([
    ['a Date', { attributes: { at: new Date() } }],
    ['a big number', { attributes: { count: 5n } }],
    ['bytes', { attributes: { data: { inner: new Uint8Array(2) } } }],
    ['a map', { attributes: { tags: [new Map()] } }],
    ['no number', { attributes: { ratio: NaN } }],
    ['nothing in a list', { attributes: { list: [undefined] } }],
    ['a circle', { attributes: { circle } }],
    ['half a character', { attributes: { text: 'a\ud800' } }],
    ['half a character in the name', { name: 'a\ud800' }],
    ['a number for the owner', { owner: 5 }],
  ])('refuse a description with %s, which would arrive as something else', async (_name, description) => {
    const refused = { name: 'AssetClientError', code: 'INVALID_ARGUMENT', reason: 'OPTION_INVALID' };
    await expect(client.uploadFile(content, description as never)).rejects.toMatchObject(refused);
    await expect(client.updateMetadata('abc', description as never)).rejects.toMatchObject(refused);
    await expect(client.startUpload(description as never)).rejects.toMatchObject(refused);
  });

  it.each([100_000_000, 1e15, Infinity])('may take any time, such as %d ms', async (timeoutMs) => {
    await expect(client.getFiles(['a'], { timeoutMs })).resolves.toHaveLength(1);
  });

  it('list one page, and the next by its token', async () => {
    const first = await client.listFilesPage({ pageSize: 7 });
    expect(first).toMatchObject({ files: [{ id: 'after-' }], nextPageToken: 'second' });
    const second = await client.listFilesPage({ pageSize: 7, pageToken: first.nextPageToken });
    expect(second).toMatchObject({ files: [{ id: 'after-second' }], nextPageToken: undefined });
    expect(pages).toEqual([
      { pageToken: '', pageSize: 7 },
      { pageToken: 'second', pageSize: 7 },
    ]);
  });
});

describe('a download to memory', () => {
  it('gives the bytes, checked, up to a bound', async () => {
    expect(await client.downloadBytes('abc')).toMatchObject({ file: { id: 'abc' }, bytes: content });
    expect((await client.downloadBytes('abc', { offset: 3, maxBytes: 2 })).bytes).toEqual(
      content.subarray(3),
    );
    await expect(client.downloadBytes('damaged')).rejects.toMatchObject({ reason: 'DOWNLOAD_DAMAGED' });
    await expect(client.downloadBytes('abc', { maxBytes: 4 })).rejects.toMatchObject({
      ...{ name: 'AssetClientError', reason: 'DOWNLOAD_TOO_LARGE' },
    });
  });
});

describe('httpStatus', () => {
  it.each([
    ['INVALID_ARGUMENT', 'FIELD_INVALID', 400],
    ['UNAUTHENTICATED', 'CREDENTIALS_INVALID', 401],
    ['PERMISSION_DENIED', 'PERMISSION_DENIED', 403],
    ['NOT_FOUND', 'FILE_NOT_FOUND', 404],
    ['NOT_FOUND', 'FILE_DELETED', 404],
    ['DEADLINE_EXCEEDED', 'UPLOAD_STALLED', 408],
    ['ALREADY_EXISTS', 'REQUEST_ID_REUSED', 409],
    ['ABORTED', 'CONCURRENT_CHANGE', 409],
    ['OUT_OF_RANGE', 'WRITE_OFFSET_MISMATCH', 409],
    ['ABORTED', 'ETAG_MISMATCH', 412],
    ['INVALID_ARGUMENT', 'FILE_TOO_LARGE', 413],
    ['RESOURCE_EXHAUSTED', 'QUOTA_EXCEEDED', 413],
    ['INVALID_ARGUMENT', 'CONTENT_TYPE_NOT_ALLOWED', 415],
    ['INVALID_ARGUMENT', 'CONTENT_TYPE_MISMATCH', 415],
    ['OUT_OF_RANGE', 'READ_OFFSET_OUT_OF_RANGE', 416],
    ['INVALID_ARGUMENT', 'MALWARE_FOUND', 422],
    ['RESOURCE_EXHAUSTED', 'RATE_LIMITED', 429],
    ['RESOURCE_EXHAUSTED', 'TOO_MANY_UPLOADS', 429],
    ['CANCELLED', undefined, 499],
    ['INTERNAL', 'INTERNAL', 500],
    ['UNIMPLEMENTED', undefined, 501],
    ['UNAVAILABLE', 'STORE_UNAVAILABLE', 503],
    ['DEADLINE_EXCEEDED', 'CALL_ENDED', 504],
    ['UNAVAILABLE', 'A_REASON_OF_A_NEWER_SERVICE', 503],
  ] as const)('of %s %s is %i', (code, reason, status) => {
    expect(httpStatus(new AssetClientError(code, 'failed', { reason }))).toBe(status);
  });

  it('of anything else is 500', () => {
    for (const error of [new Error('x'), undefined, null, 'x']) expect(httpStatus(error)).toBe(500);
  });
});

/** A stream that was read to its end. */
async function spent(): Promise<Readable> {
  const stream = Readable.from([content]);
  await text(stream);
  return stream;
}

describe('a failure of a client', () => {
  const wrong: Record<string, () => Promise<unknown>> = {
    'a source that is null': () => client.uploadFile(null as unknown as UploadSource),
    'a source that is undefined': () => client.uploadFile(undefined as unknown as UploadSource),
    'a source that is a number': () => client.uploadFile(5 as unknown as UploadSource),
    'a source that is a Response': () => client.uploadFile(new Response('x') as unknown as UploadSource),
    'a source that is an https: URL': () => client.uploadFile(new URL('https://example.org')),
    'a path where nothing is': () => client.uploadFile('/nowhere/at/all'),
    'a folder': () => client.uploadFile('/'),
    'a stream that was read': async () => client.uploadFile(await spent()),
    'a stream that was read, opened by a function': () => client.uploadFile(spent),
    'a stream that was destroyed': () => client.uploadFile(Readable.from([content]).destroy()),
    'a web stream that was read': async () => {
      const { body } = new Response('x');
      await text(body!);
      return client.uploadFile(body!);
    },
    'a web stream that another reads': () => {
      const { body } = new Response('x');
      body!.getReader();
      return client.uploadFile(body!);
    },
    'a stream that fails': () =>
      client.uploadFile(
        new Readable({ read: () => undefined, construct: (done) => done(new Error('broken')) }),
      ),
    'a function that fails': () =>
      client.uploadFile(() => {
        throw new Error('broken');
      }),
    'a stream of texts': () => client.uploadFile(Readable.from(['x'], { objectMode: true })),
    'a size that is none': () => client.uploadFile(content, { sizeBytes: 1.5 }),
    'a window that is none': () => client.uploadFile(content, { windowBytes: 0 }),
    'a time that is none': () => client.uploadFile(content, { timeoutMs: Number.NaN }),
    'relations that are no lists': () =>
      client.uploadFile(content, { relations: { a: 5 as unknown as string[] } }),
    'sources that cannot be listed': () =>
      client.uploadFiles(
        (function* () {
          throw new Error('no list');
        })(),
      ),
    'a concurrency that is none': () => client.uploadFiles([], { concurrency: Number.NaN }),
    'an offset that is none': () => client.openRead('abc', { offset: -1 }),
    'a length that is none': () => client.downloadBytes('abc', { length: 0 }),
    'a page size that is none': () => client.listFilesPage({ pageSize: 1.5 }),
    'a date that is none': () => client.listFiles({ createTimeFrom: new Date(Number.NaN) }).next(),
    'a lifetime that is none': () => client.fileUrl('abc', { ttlSeconds: Number.NaN }),
    'changes that are none': () => client.updateMetadata('abc', {}),
    'changes that are null': () => client.updateMetadata('abc', null as unknown as object),
    'a checksum that is none': () => client.completeUpload('abc', { sha256: 'xyz' }),
    'a part number that is none': () => client.signUploadParts('abc', [0]),
    'a transport that is none': () => client.startUpload({ transport: 'pigeon' as unknown as 'direct' }),
  };
  for (const [what, call] of Object.entries(wrong)) {
    it(`has its own reason for ${what}`, async () => {
      const error: unknown = await call().then(
        () => undefined,
        (failure: unknown) => failure,
      );
      expect(error).toMatchObject({ name: 'AssetClientError', code: 'INVALID_ARGUMENT' });
      expect((error as AssetClientError).reason).toMatch(/^(?:SOURCE_FAILED|OPTION_INVALID)$/);
    });
  }

  it('fails the item and not the others, among many sources', async () => {
    const results = await client.uploadFiles([null as unknown as UploadSource, content]);
    expect(results.map(({ file, error }) => file?.id ?? error?.reason)).toEqual(['SOURCE_FAILED', 'abc']);
  });

  it('has its own reason for requests whose body was read', async () => {
    const bff = createBffClient({ baseUrl: double.baseUrl });
    const refused = { name: 'AssetClientError', code: 'INVALID_ARGUMENT', reason: 'SOURCE_FAILED' };
    const web = new Request('http://127.0.0.1', { method: 'POST', body: 'x' });
    await web.text();
    await expect(bff.uploadFromRequest(web)).rejects.toMatchObject(refused);
    const locked = new Request('http://127.0.0.1', { method: 'POST', body: 'x' });
    locked.body!.getReader();
    await expect(bff.uploadFromRequest(locked)).rejects.toMatchObject(refused);
    await expect(bff.uploadFromRequest(null as unknown as Request)).rejects.toMatchObject(refused);
    const outcome = await new Promise<unknown>((resolve) => {
      const server = createServer((request: IncomingMessage, response) => {
        void text(request)
          .then(() => bff.uploadFromRequest(request))
          .then(resolve, resolve)
          .finally(() => {
            response.end();
            server.close();
          });
      }).listen(0, '127.0.0.1', () => {
        const { port } = server.address() as AddressInfo;
        httpRequest({ port, method: 'POST' }, (response) => response.resume()).end('x');
      });
    });
    expect(outcome).toMatchObject(refused);
    bff.close();
  });
});

it('recognizes errors of the other build of the clients in the same process', () => {
  const require = createRequire(import.meta.url);
  const other = require('@asset-service/worker') as typeof import('@asset-service/worker');
  expect(other.AssetClientError).not.toBe(AssetClientError);
  const [ours, theirs] = [AssetClientError, other.AssetClientError].map((type) => new type('ABORTED', 'x'));
  for (const type of [AssetClientError, other.AssetClientError]) {
    for (const error of [ours, theirs]) expect(error instanceof type).toBe(true);
    for (const value of [new Error('x'), { code: 'ABORTED', message: 'x' }, null, undefined, 'x'])
      expect(value instanceof type).toBe(false);
  }
  class Mine extends AssetClientError {}
  expect(new Mine('ABORTED', 'x') instanceof Mine).toBe(true);
  expect(new Mine('ABORTED', 'x') instanceof other.AssetClientError).toBe(true);
  expect(ours instanceof Mine).toBe(false);
  expect(Object.keys(ours!)).toEqual(Object.keys(theirs!));
});
