import {
  type AssetService,
  type DownloadFileRequest,
  Disposition,
} from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { ErrorReason } from '@asset-service/contract/asset/v1/error_reason_pb.js';
import { type AssetClientOptions, createWorkerClient, type WorkerClient } from '@asset-service/worker';
import { createBffClient } from '@asset-service/bff';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Code, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import { crc32c } from '@node-rs/crc32';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Double, serviceError, startDouble } from './clients-double.ts';

type Methods = Partial<ServiceImpl<typeof AssetService>>;

const PIECE = 100_000;
const content = randomBytes(10 * PIECE + 7);
const file = {
  id: 'abc',
  name: 'a.bin',
  sizeBytes: BigInt(content.length),
  checksums: { sha256: createHash('sha256').update(content).digest(), crc32c: crc32c(content) },
};

let open: AsyncDisposable[] = [];
let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'clients-calls-'));
});
afterAll(() => rm(folder, { recursive: true }));
afterEach(async () => {
  for (const each of open.reverse()) await each[Symbol.asyncDispose]();
  open = [];
});

async function start(
  methods: Methods,
  options: Partial<AssetClientOptions> = {},
): Promise<{ client: WorkerClient; double: Double }> {
  const double = await startDouble(methods, { http1: options.transport === 'connect' });
  const client = createWorkerClient({ baseUrl: double.baseUrl, retry: { baseDelayMs: 10 }, ...options });
  open.push(double, client);
  return { client, double };
}

/** Serves `content`; `spoil` may throw, cut or change a piece before it is sent. */
function serving(
  requests: DownloadFileRequest[],
  spoil: (piece: Buffer, sent: number) => Buffer = (piece) => piece,
) {
  let sent = 0;
  return async function* (request: DownloadFileRequest) {
    requests.push(request);
    const start = Number(request.readOffset);
    const end =
      request.readLimit === 0n ? content.length : Math.min(content.length, start + Number(request.readLimit));
    if (start >= end) yield { file };
    for (let at = start; at < end; at += PIECE) {
      const piece = content.subarray(at, Math.min(end, at + PIECE));
      sent += 1;
      const data = { content: spoil(piece, sent), crc32c: crc32c(piece) };
      yield at === start ? { file, data } : { data };
      await sleep(1);
    }
  };
}

describe('downloads', () => {
  it('open a file, whole and in part, with its record', async () => {
    const requests: DownloadFileRequest[] = [];
    const { client } = await start({ downloadFile: serving(requests) });
    const whole = await client.openRead('abc');
    expect(whole.file).toMatchObject({
      id: 'abc',
      sizeBytes: content.length,
      sha256: file.checksums.sha256.toString('hex'),
    });
    expect((await buffer(whole.stream)).equals(content)).toBe(true);
    const part = await client.openRead('abc', { offset: 150_000, length: 250_001 });
    expect((await buffer(part.stream)).equals(content.subarray(150_000, 400_001))).toBe(true);
    const end = await client.openRead('abc', { offset: content.length });
    expect((await buffer(end.stream)).length).toBe(0);
  });

  for (const transport of ['grpc', 'connect'] as const) {
    it(`go on where a cut connection stopped them, over ${transport}`, async () => {
      const requests: DownloadFileRequest[] = [];
      let cut = () => {};
      const { client, double } = await start(
        {
          downloadFile: serving(requests, (piece, sent) => {
            if (sent === 4 || sent === 9) cut();
            if (sent === 6) throw serviceError(Code.Unavailable, 'STORE_UNAVAILABLE', { retryMs: 5 });
            return piece;
          }),
        },
        // A deadline would leave a timer in the double, whose library forgets it where a connection is cut.
        { transport, timeouts: { transferMs: 0 } },
      );
      cut = () => double.cut();
      const path = join(folder, `resumed-${transport}.bin`);
      const received: number[] = [];
      const got = await client.downloadToFile('abc', path, {
        onProgress: (event) => received.push(event.receivedBytes),
      });
      expect(got.id).toBe('abc');
      expect((await readFile(path)).equals(content)).toBe(true);
      const offsets = requests.map(({ readOffset }) => Number(readOffset));
      expect(offsets[0]).toBe(0);
      expect(offsets.length).toBeGreaterThanOrEqual(3);
      expect(offsets.slice(1).every((offset, index) => offset > 0 && offset >= offsets[index]!)).toBe(true);
      expect(received).toEqual(received.toSorted((a, b) => a - b));
      expect(received.at(-1)).toBe(content.length);
    });
  }

  it('never show a damaged or a partial file under its path', async () => {
    const path = join(folder, 'kept.bin');
    await writeFile(path, 'what was there');
    const flip = (piece: Buffer) => {
      const other = Buffer.from(piece);
      other[5]! ^= 1;
      return other;
    };
    const wrongPiece = await start({
      downloadFile: serving([], (piece, sent) => (sent === 3 ? flip(piece) : piece)),
    });
    await expect(wrongPiece.client.downloadToFile('abc', path)).rejects.toMatchObject({
      code: 'DATA_LOSS',
      reason: 'DOWNLOAD_DAMAGED',
    });
    const wrongWhole = await start({
      async *downloadFile() {
        const other = flip(content);
        yield { file, data: { content: other, crc32c: crc32c(other) } };
      },
    });
    await expect(wrongWhole.client.downloadToFile('abc', path)).rejects.toMatchObject({
      reason: 'DOWNLOAD_DAMAGED',
    });
    const short = await start({
      async *downloadFile() {
        yield { file, data: { content: content.subarray(0, 10), crc32c: crc32c(content.subarray(0, 10)) } };
      },
    });
    await expect(short.client.downloadToFile('abc', path)).rejects.toMatchObject({
      reason: 'DOWNLOAD_DAMAGED',
    });
    expect(await readFile(path, 'utf8')).toBe('what was there');
    expect((await readdir(folder)).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  it('reject at once where there is no file', async () => {
    const { client } = await start({
      async *downloadFile() {
        throw serviceError(Code.NotFound, 'FILE_NOT_FOUND', { metadata: { file_id: 'abc' } });
      },
    });
    await expect(client.openRead('abc')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      reason: 'FILE_NOT_FOUND',
      metadata: { file_id: 'abc' },
    });
  });

  it('leave nothing behind that keeps a process alive', async () => {
    const { client } = await start({ downloadFile: serving([]) });
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    const { stream } = await client.openRead('abc');
    stream.destroy();
    const begun = await client.openRead('abc');
    for await (const _ of begun.stream) break;
    for (let i = 0; i < 100 && timers() > before; i++) await sleep(10);
    expect(timers()).toBeLessThanOrEqual(before);
  });

  it('take no more from the service than is read, and end with the stream', async () => {
    let sent = 0;
    let ended = false;
    const { client } = await start({
      async *downloadFile(_request, context) {
        context.signal.addEventListener('abort', () => (ended = true));
        const piece = Buffer.alloc(1024 * 1024);
        for (; sent < 64; sent++) {
          yield {
            data: { content: piece },
            ...(sent === 0 ? { file: { ...file, sizeBytes: 64n * 1024n * 1024n } } : {}),
          };
        }
      },
    });
    const { stream } = await client.openRead('abc');
    stream.read(1);
    await sleep(300);
    expect(sent).toBeLessThan(24);
    stream.destroy();
    for (let i = 0; i < 100 && !ended; i++) await sleep(10);
    expect(ended).toBe(true);
  });
});

describe('calls', () => {
  it('send the identities, fresh for each call, and share one connection between users', async () => {
    const seen: (string | null)[][] = [];
    const getFile = (_: unknown, { requestHeader }: HandlerContext) => {
      seen.push([requestHeader.get('authorization'), requestHeader.get('asset-user-token')]);
      return { file };
    };
    const double = await startDouble({ getFile });
    let turn = 0;
    const client = createBffClient({ baseUrl: double.baseUrl, token: () => Promise.resolve(`t${++turn}`) });
    open.push(double, client);
    await client.getFile('abc');
    const [ann, bob] = [client.forUser('ann'), client.forUser(() => 'bob')];
    await ann.getFile('abc');
    ann.close();
    await bob.getFile('abc');
    await expect(ann.getFile('abc')).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
    expect(seen).toEqual([
      ['Bearer t1', null],
      ['Bearer t2', 'ann'],
      ['Bearer t3', 'bob'],
    ]);
    expect(double.sockets.size).toBe(1);
    client.close();
    await expect(bob.getFile('abc')).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
  });

  it('build the mask of an update from what is given', async () => {
    const seen: unknown[] = [];
    const { client } = await start({
      updateMetadata: (request) => {
        seen.push(request);
        return { file };
      },
    });
    await client.updateMetadata(
      'abc',
      {
        name: 'b',
        owner: '',
        relations: { project: ['p1'], tags: [] },
        attributes: { title: 'T', gone: null },
      },
      { etag: 'e1' },
    );
    expect(seen[0]).toMatchObject({
      file: {
        id: 'abc',
        etag: 'e1',
        name: 'b',
        owner: '',
        relations: { project: { ids: ['p1'] }, tags: { ids: [] } },
        attributes: { title: 'T' },
      },
      updateMask: {
        paths: [
          'name',
          'owner',
          'relations.project',
          'relations.tags',
          'attributes.title',
          'attributes.gone',
        ],
      },
    });
    await expect(client.updateMetadata('abc', {})).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(seen).toHaveLength(1);
  });

  it('turn the pages of a list as they are taken', async () => {
    const tokens: string[] = [];
    const { client } = await start({
      listFiles: ({ pageToken, filter }) => {
        tokens.push(pageToken);
        expect(filter).toMatchObject({
          owner: 'ann',
          contentType: 'image/*',
          relation: { name: 'project', id: 'p1' },
        });
        const page = Number(pageToken || '0');
        return {
          files: [{ id: `${page}a` }, { id: `${page}b` }],
          nextPageToken: page < 2 ? String(page + 1) : '',
        };
      },
    });
    const options = { owner: 'ann', contentType: 'image/*', relation: { name: 'project', id: 'p1' } };
    const ids: string[] = [];
    for await (const each of client.listFiles(options)) ids.push(each.id);
    expect(ids).toEqual(['0a', '0b', '1a', '1b', '2a', '2b']);
    for await (const _ of client.listFiles(options)) break;
    expect(tokens).toEqual(['', '1', '2', '']);
  });

  it('count a deletion whose first answer was lost as done', async () => {
    let calls = 0;
    const { client } = await start({
      deleteFile: () => {
        calls += 1;
        throw calls === 1
          ? serviceError(Code.Unavailable, 'CATALOG_UNAVAILABLE', { retryMs: 1 })
          : serviceError(Code.NotFound, 'FILE_DELETED');
      },
      getFile: () => ({ file: { ...file, deleteTime: { seconds: 1n } } }),
    });
    expect((await client.deleteFile('abc')).deleteTime).toEqual(new Date(1000));
    await expect(client.deleteFile('abc')).rejects.toMatchObject({ reason: 'FILE_DELETED' });
  });

  it('refuse an answer that is too large once, and say so', async () => {
    for (const transport of ['grpc', 'connect'] as const) {
      let calls = 0;
      const { client } = await start(
        {
          getFile: () => {
            calls += 1;
            return { file: { ...file, name: 'x'.repeat(5 * 2 ** 20) } };
          },
        },
        // A deadline would leave a timer in the double, whose library forgets it where a connection is cut.
        { transport, timeouts: { callMs: 0 } },
      );
      await expect(client.getFile('abc')).rejects.toMatchObject({
        code: 'RESOURCE_EXHAUSTED',
        reason: 'MESSAGE_TOO_LARGE',
      });
      expect(calls).toBe(1);
    }
  });

  it('retry an update that lost a race only without an etag', async () => {
    let calls = 0;
    const { client } = await start({
      updateMetadata: ({ file: given }) => {
        calls += 1;
        if (given!.etag !== '') throw serviceError(Code.Aborted, 'ETAG_MISMATCH');
        if (calls === 1) throw serviceError(Code.Aborted, 'CONCURRENT_CHANGE');
        return { file };
      },
    });
    await client.updateMetadata('abc', { name: 'b' });
    expect(calls).toBe(2);
    await expect(client.updateMetadata('abc', { name: 'b' }, { etag: 'old' })).rejects.toMatchObject({
      code: 'ABORTED',
      reason: 'ETAG_MISMATCH',
    });
    expect(calls).toBe(3);
  });

  it('ask for URLs, one and many in order, each with its own error', async () => {
    const sizes: number[] = [];
    const double = await startDouble({
      getFileUrl: (request) => {
        expect(request).toMatchObject({
          ttl: { seconds: 60n },
          disposition: Disposition.INLINE,
          downloadName: 'x.png',
        });
        return { url: 'https://x', expireTime: { seconds: 5n }, contentType: 'image/png', sizeBytes: 7n };
      },
      batchGetFileUrls: ({ requests }) => {
        sizes.push(requests.length);
        return {
          results: requests.map(({ source }) =>
            source.value === 'none'
              ? { result: { case: 'error', value: { code: Code.NotFound, message: 'no such file' } } }
              : { result: { case: 'response', value: { url: `https://x/${source.value}` } } },
          ),
        };
      },
    });
    const client = createBffClient({ baseUrl: double.baseUrl });
    open.push(double, client);
    expect(
      await client.fileUrl('abc', { ttlSeconds: 60, disposition: 'inline', downloadName: 'x.png' }),
    ).toEqual({
      url: 'https://x',
      expireTime: new Date(5000),
      contentType: 'image/png',
      sizeBytes: 7,
    });
    const ids = Array.from({ length: 1500 }, (_, index) => `f${index}`);
    ids[1200] = 'none';
    const results = await client.fileUrls(ids);
    expect(sizes).toEqual([1000, 500]);
    expect(results.map(({ id }) => id)).toEqual(ids);
    expect(results[1200]).toMatchObject({
      error: { name: 'AssetClientError', code: 'NOT_FOUND', message: 'no such file' },
    });
    expect(results[1201]).toMatchObject({ url: { url: 'https://x/f1201' } });
    expect(await client.fileUrls([])).toEqual([]);
  });

  it('name every reason of the contract as the contract does, and those of a newer service', async () => {
    let reason = '';
    const { client } = await start({
      getFile: () => {
        throw serviceError(Code.Internal, reason);
      },
    });
    for (reason of [...Object.keys(ErrorReason).filter((name) => /^[A-Z]/.test(name)), 'NOT_KNOWN_YET']) {
      await expect(client.getFile('abc')).rejects.toMatchObject({ reason });
    }
  });

  it('end after their own time, and on a signal', async () => {
    const { client } = await start(
      { getFile: (_, { signal }) => sleep(1000, { file }, { signal }) },
      { timeouts: { callMs: 100 } },
    );
    await expect(client.getFile('abc')).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    await expect(client.getFile('abc', { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
  });
});
