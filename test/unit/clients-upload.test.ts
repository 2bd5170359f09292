import type { UploadRequest, UploadSpec } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { afterEach, beforeAll, afterAll, describe, expect, it } from '@jest/globals';
import { Code, type ServiceImpl } from '@connectrpc/connect';
import type { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { crc32c } from '@node-rs/crc32';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, truncate, writeFile, appendFile } from 'node:fs/promises';
import { createReadStream } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { createAssetClient } from '../../clients/core/src/client.ts';
import type { AssetClientError } from '../../clients/core/src/errors.ts';
import type { UploadSource } from '../../clients/core/src/source.ts';
import type { UploadProgress } from '../../clients/core/src/progress.ts';
import { eventually } from '../support/eventually.ts';
import { type Double, serviceError, specOf, startDouble } from './clients-double.ts';

type Upload = ServiceImpl<typeof AssetService>['upload'];

/** What one whole upload brought. */
interface Received {
  readonly messages: UploadRequest[];
  readonly bytes: Buffer;
}

let open: AsyncDisposable[] = [];
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'clients-upload-'));
});
afterAll(() => rm(folder, { recursive: true }));
afterEach(async () => {
  for (const each of open.reverse()) await each[Symbol.asyncDispose]();
  open = [];
});

/** Starts a service that takes uploads as `upload` says; of those over several calls it keeps nothing between two. */
async function start(upload: Upload, options: { http1?: boolean; port?: number; retries?: number } = {}) {
  const started: UploadSpec[] = [];
  const methods: Partial<ServiceImpl<typeof AssetService>> = {
    upload,
    startUpload: ({ uploadSpec }) => {
      started.push(uploadSpec!);
      return { uploadId: 'abc', partSizeBytes: BigInt(8 * MiB) };
    },
    getUpload: () => ({ writeStatus: { case: 'persistedSize', value: 0n } }),
  };
  const double: Double = await startDouble(methods, options);
  const client = createAssetClient({
    baseUrl: double.baseUrl,
    transport: options.http1 === true ? 'connect' : 'grpc',
    retry: { baseDelayMs: 10, ...(options.retries !== undefined && { retries: options.retries }) },
  });
  open.push(double, client);
  return { client, double, started };
}

/** Takes uploads whole and checks what a server checks. */
function taking(received: Received[]): Upload {
  return async (requests) => {
    const messages: UploadRequest[] = [];
    for await (const message of requests) {
      if (message.data !== undefined) expect(crc32c(message.data.content)).toBe(message.data.crc32c);
      messages.push(message);
    }
    const bytes = Buffer.concat(messages.map(({ data }) => data?.content ?? new Uint8Array()));
    received.push({ messages, bytes });
    return { writeStatus: { case: 'file', value: { id: 'abc', sizeBytes: BigInt(bytes.length) } } };
  };
}

async function failure(promise: Promise<unknown>): Promise<AssetClientError> {
  return promise.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: unknown) => error as AssetClientError,
  );
}

const MiB = 1024 * 1024;
const content = randomBytes(3 * MiB + 17);

describe('uploadFile', () => {
  const path = () => join(folder, 'content.bin');
  const sources: Record<string, { source: () => UploadSource; size: number | undefined; name: string }> = {
    'a path': { source: path, size: content.length, name: 'content.bin' },
    'a file: URL': { source: () => pathToFileURL(path()), size: content.length, name: 'content.bin' },
    'a Buffer': { source: () => content, size: content.length, name: '' },
    'a Uint8Array': { source: () => new Uint8Array(content), size: content.length, name: '' },
    'a Blob': { source: () => new Blob([content]), size: content.length, name: '' },
    'a File': { source: () => new File([content], 'übung.bin'), size: content.length, name: 'übung.bin' },
    'a Readable': {
      source: () => createReadStream(path(), { highWaterMark: 1000 }),
      size: undefined,
      name: '',
    },
    'a web stream': { source: () => new Blob([content]).stream(), size: undefined, name: '' },
    'an async iterable': {
      source: () =>
        (async function* () {
          for (let at = 0; at < content.length; at += 1_100_001) {
            await sleep(1);
            yield content.subarray(at, at + 1_100_001);
          }
        })(),
      size: undefined,
      name: '',
    },
    'a function that opens a stream': {
      source: () => () => createReadStream(path()),
      size: undefined,
      name: '',
    },
  };
  for (const [kind, { source, size, name }] of Object.entries(sources)) {
    it(`sends ${kind} in checked pieces of 512 KiB with the checksums of the whole`, async () => {
      await writeFile(path(), content);
      const received: Received[] = [];
      const { client, started } = await start(taking(received));
      const progress: UploadProgress[] = [];
      const file = await client.uploadFile(source(), {
        usage: 'test',
        onProgress: (event) => progress.push(event),
      });
      expect(file).toMatchObject({ id: 'abc', sizeBytes: content.length });
      const { messages, bytes } = received[0]!;
      expect(bytes.equals(content)).toBe(true);
      const spec = started[0] ?? specOf(messages);
      expect(started).toHaveLength(size === undefined ? 1 : 0);
      expect(spec.sizeBytes).toBe(size === undefined ? undefined : BigInt(size));
      expect(spec.file).toMatchObject({ name, usage: 'test' });
      expect(spec.requestId).toMatch(/^[0-9a-f-]{36}$/);
      expect(messages.slice(0, -1).every(({ data }) => data?.content.length === MiB / 2)).toBe(true);
      expect(messages.map((message) => message.finishWrite).indexOf(true)).toBe(messages.length - 1);
      expect(messages.at(-1)!.checksums).toMatchObject({ crc32c: crc32c(content) });
      expect(Buffer.from(messages.at(-1)!.checksums!.sha256)).toEqual(
        createHash('sha256').update(content).digest(),
      );
      expect(progress.at(-1)).toEqual({
        sentBytes: content.length,
        totalBytes: size,
        attempt: 1,
        wentBack: false,
      });
      expect(progress.map((event) => event.sentBytes)).toEqual(
        progress.map((event) => event.sentBytes).sort((a, b) => a - b),
      );
    });
  }

  it('sends an empty file and a small one in one message', async () => {
    const received: Received[] = [];
    const { client } = await start(taking(received));
    await client.uploadFile(new Uint8Array(), { name: 'empty' });
    await client.uploadFile(Buffer.from('small'), { name: 'small' });
    expect(received.map(({ messages }) => messages.length)).toEqual([1, 1]);
    expect(received[0]!.messages[0]).toMatchObject({ finishWrite: true, checksums: { crc32c: 0 } });
  });

  for (const http1 of [false, true]) {
    const over = http1 ? 'Connect over HTTP/1.1' : 'gRPC';
    it(`gives the error of the service in the middle of a stream, over ${over}`, async () => {
      const { client } = await start(
        async (requests) => {
          let seen = 0;
          for await (const _ of requests) if (++seen === 3) break;
          throw serviceError(Code.InvalidArgument, 'FILE_TOO_LARGE', { metadata: { max_size_bytes: '5' } });
        },
        { http1 },
      );
      for (let round = 0; round < 10; round++) {
        const error = await failure(client.uploadFile(randomBytes(12 * MiB)));
        expect(error).toMatchObject({
          name: 'AssetClientError',
          code: 'INVALID_ARGUMENT',
          reason: 'FILE_TOO_LARGE',
          metadata: { max_size_bytes: '5' },
        });
      }
    });

    it(`gives the error of the service while the source is silent, and lets go of the source, over ${over}`, async () => {
      const { client } = await start(
        async (requests) => {
          for await (const _ of requests) break;
          throw serviceError(Code.InvalidArgument, 'FIELD_INVALID', { field: 'upload_spec.file.name' });
        },
        { http1 },
      );
      const source = new PassThrough();
      source.write(randomBytes(2 * MiB));
      const error = await failure(client.uploadFile(source));
      expect(error).toMatchObject({
        reason: 'FIELD_INVALID',
        fieldViolations: [{ field: 'upload_spec.file.name', description: 'must not be' }],
      });
      expect(source.destroyed).toBe(true);
    });
  }

  it('tries again with the same request id after the wait that the service asks for', async () => {
    const received: Received[] = [];
    const ids: string[] = [];
    const times: number[] = [];
    const take = taking(received);
    const { client } = await start(async (requests, context) => {
      times.push(performance.now());
      if (times.length < 3) {
        for await (const message of requests) {
          if (message.writeOffset === 0n) ids.push(specOf([message]).requestId);
        }
        throw serviceError(Code.Unavailable, 'STORE_UNAVAILABLE', { retryMs: 150 });
      }
      return take(requests, context);
    });
    const attempts: number[] = [];
    await client.uploadFile(content, { onProgress: ({ attempt }) => attempts.push(attempt) });
    ids.push(specOf(received[0]!.messages).requestId);
    expect(new Set(ids).size).toBe(1);
    expect(ids).toHaveLength(3);
    expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(145);
    expect(new Set(attempts)).toEqual(new Set([1, 2, 3]));
  });

  it('tries again after a connection that was cut, at any time', async () => {
    const received: Received[] = [];
    const take = taking(received);
    let calls = 0;
    const { client, double } = await start(async (requests, context) => {
      calls += 1;
      if (calls === 1) {
        for await (const _ of requests) break;
        double.cut();
        throw serviceError(Code.Internal, 'INTERNAL');
      }
      if (calls === 2) {
        for await (const _ of requests);
        double.cut();
        throw serviceError(Code.Internal, 'INTERNAL');
      }
      return take(requests, context);
    });
    await client.uploadFile(content);
    expect(calls).toBe(3);
    expect(received.at(-1)!.bytes.equals(content)).toBe(true);
  });

  it('does not try again what cannot succeed', async () => {
    for (const [code, reason] of [
      [Code.InvalidArgument, 'SIZE_MISMATCH'],
      [Code.AlreadyExists, 'REQUEST_ID_REUSED'],
      [Code.Aborted, 'ETAG_MISMATCH'],
      [Code.ResourceExhausted, 'MESSAGE_TOO_LARGE'],
      [Code.Internal, 'INTERNAL'],
      [Code.PermissionDenied, 'PERMISSION'],
    ] as const) {
      let calls = 0;
      const { client } = await start(async (requests) => {
        calls += 1;
        for await (const _ of requests);
        throw serviceError(code, reason);
      });
      expect(await failure(client.uploadFile(content))).toMatchObject({ reason });
      expect(calls).toBe(1);
    }
  });

  it('gives up after the retries that the policy allows', async () => {
    let calls = 0;
    const { client } = await start(
      async (requests) => {
        calls += 1;
        for await (const _ of requests);
        throw serviceError(Code.ResourceExhausted, 'TOO_MANY_UPLOADS', { retryMs: 1 });
      },
      { retries: 5 },
    );
    expect(await failure(client.uploadFile(content))).toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      retryDelayMs: 1,
    });
    expect(calls).toBe(6);
  });

  it('does not wait past the deadline', async () => {
    const { client } = await start(async (requests) => {
      for await (const _ of requests);
      throw serviceError(Code.Unavailable, 'STORE_UNAVAILABLE', { retryMs: 90_000 });
    });
    const begin = performance.now();
    expect(await failure(client.uploadFile(content, { timeoutMs: 50_000 }))).toMatchObject({
      reason: 'STORE_UNAVAILABLE',
    });
    expect(performance.now() - begin).toBeLessThan(50_000);
  });

  it('lets go of a stream that it never came to read', async () => {
    const client = createAssetClient({
      baseUrl: 'http://127.0.0.1:1',
      retry: { retries: 1, baseDelayMs: 5 },
    });
    const source = new PassThrough();
    expect(await failure(client.uploadFile(source))).toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'CONNECTION_LOST',
    });
    expect(source.destroyed).toBe(true);
  });

  it('sends a stream again that no byte was taken of', async () => {
    const received: Received[] = [];
    const probe = await startDouble({});
    const port = Number(new URL(probe.baseUrl).port);
    await probe[Symbol.asyncDispose]();
    const client = createAssetClient({ baseUrl: `http://127.0.0.1:${port}`, retry: { baseDelayMs: 100 } });
    open.push(client);
    const upload = client.uploadFile(Readable.from([content]));
    await sleep(20);
    await start(taking(received), { port });
    await upload;
    expect(received[0]!.bytes.equals(content)).toBe(true);
  });

  it('opens a stream anew for each try', async () => {
    const received: Received[] = [];
    const take = taking(received);
    let opened = 0;
    const { client } = await start(async (requests, context) => {
      if (opened === 1) throw serviceError(Code.Unavailable, 'SHUTTING_DOWN', { retryMs: 1 });
      return take(requests, context);
    });
    await client.uploadFile(() => {
      opened += 1;
      return Readable.from([content]);
    });
    expect(opened).toBe(2);
    expect(received[0]!.bytes.equals(content)).toBe(true);
  });

  it('fails cleanly if the file shrinks, grows or changes while it is sent', async () => {
    const path = join(folder, 'changing.bin');
    const changes: (() => Promise<void>)[] = [
      () => truncate(path, 100),
      () => appendFile(path, 'more'),
      () => writeFile(path, randomBytes(content.length)),
    ];
    for (const change of changes) {
      await writeFile(path, content);
      let finished = false;
      let changed = false;
      const { client } = await start(async (requests) => {
        for await (const message of requests) {
          if (!changed) await change();
          changed = true;
          finished ||= message.finishWrite;
        }
        return { writeStatus: { case: 'file', value: {} } };
      });
      const error = await failure(client.uploadFile(path, { onProgress: () => undefined }));
      expect(error).toMatchObject({ code: 'FAILED_PRECONDITION', reason: 'SOURCE_CHANGED' });
      expect(finished).toBe(false);
    }
  });

  it('ends the call if the source fails, and says so', async () => {
    let ended = false;
    const { client } = await start(async (requests, context) => {
      context.signal.addEventListener('abort', () => (ended = true));
      for await (const _ of requests);
      return { writeStatus: { case: 'file', value: {} } };
    });
    const source = async function* () {
      yield content;
      await sleep(5);
      throw new Error('the disk is gone');
    };
    const error = await failure(client.uploadFile(source()));
    expect(error).toMatchObject({
      reason: 'SOURCE_FAILED',
      message: expect.stringContaining('the disk is gone'),
    });
    expect(error.cause).toMatchObject({ message: 'the disk is gone' });
    for (let i = 0; i < 100 && !ended; i++) await sleep(10);
    expect(ended).toBe(true);
    expect(await failure(client.uploadFile(join(folder, 'none')))).toMatchObject({
      reason: 'SOURCE_FAILED',
      cause: { code: 'ENOENT' },
    });
    // Fails before it is read, while nobody listens.
    const missing = createReadStream(join(folder, 'none'));
    expect(await failure(client.uploadFile(missing))).toMatchObject({
      reason: 'SOURCE_FAILED',
      cause: { code: 'ENOENT' },
    });
    expect(await failure(client.uploadFile(Readable.from(['text'])))).toMatchObject({
      reason: 'SOURCE_FAILED',
    });
  });

  it('stops at once if the caller aborts, on both sides', async () => {
    let [begun, ended] = [false, false];
    const { client } = await start(async (requests, context) => {
      context.signal.addEventListener('abort', () => (ended = true));
      for await (const _ of requests) begun = true;
      return { writeStatus: { case: 'file', value: {} } };
    });
    const controller = new AbortController();
    const source = new PassThrough();
    source.write(content);
    const upload = failure(client.uploadFile(source, { signal: controller.signal }));
    await eventually(() => expect(begun).toBe(true));
    controller.abort(new Error('enough'));
    expect(await upload).toMatchObject({ code: 'CANCELLED', cause: { message: 'enough' } });
    expect(source.destroyed).toBe(true);
    await eventually(() => expect(ended).toBe(true));
  });

  it('ends with DEADLINE_EXCEEDED if the service takes too long', async () => {
    const { client } = await start(async (requests, { signal }) => {
      for await (const _ of requests);
      await sleep(2000, undefined, { signal });
      return { writeStatus: { case: 'file', value: {} } };
    });
    expect(await failure(client.uploadFile(content, { timeoutMs: 200 }))).toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
  });

  it('ends with DEADLINE_EXCEEDED too if the time is over in the middle of the bytes', async () => {
    const { client } = await start(async (requests) => {
      let size = 0n;
      for await (const { writeOffset, data } of requests) size = writeOffset + BigInt(data!.content.length);
      return { writeStatus: { case: 'persistedSize', value: size } };
    });
    const source = async function* () {
      for (;;) {
        yield content;
        await sleep(1);
      }
    };
    expect(await failure(client.uploadFile(source(), { timeoutMs: 300 }))).toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
  });

  it('takes no more of the source than the service takes', async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    const { client } = await start(async (requests) => {
      await held;
      let size = 0n;
      for await (const { writeOffset, data, finishWrite } of requests) {
        size = writeOffset + BigInt(data!.content.length);
        if (finishWrite) return { writeStatus: { case: 'file', value: {} } };
      }
      return { writeStatus: { case: 'persistedSize', value: size } };
    });
    let taken = 0;
    const source = async function* () {
      for (let piece = 0; piece < 64; piece++) {
        taken += MiB;
        yield Buffer.alloc(MiB);
        await sleep(0);
      }
    };
    const upload = client.uploadFile(source());
    await sleep(500);
    // The server's window is 1 MiB; beside it the network, one piece and the one after it are in flight.
    expect(taken).toBeLessThanOrEqual(16 * MiB);
    release();
    await upload;
    expect(taken).toBe(64 * MiB);
  });
});
