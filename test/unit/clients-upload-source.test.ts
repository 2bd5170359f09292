import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { appendFile, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { createReadStream } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../support/eventually.ts';
import { content, failure, MiB, start } from './clients-upload-double.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'clients-upload-source-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('uploadFile, while it reads its source', () => {
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

  (process.platform === 'linux' ? it : it.skip)(
    'does not take a file without a size for an empty one',
    async () => {
      let finished = false;
      const { client } = await start(async (requests) => {
        for await (const { finishWrite } of requests) finished ||= finishWrite;
        return { writeStatus: { case: 'file', value: {} } };
      });
      const error = await failure(client.uploadFile('/proc/self/status'));
      expect(error).toMatchObject({
        reason: 'SOURCE_CHANGED',
        message: expect.stringContaining('as a stream'),
      });
      expect(finished).toBe(false);
    },
  );

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
