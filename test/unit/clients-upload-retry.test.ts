import { describe, expect, it } from '@jest/globals';
import { Code } from '@connectrpc/connect';
import { PassThrough, Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { createAssetClient } from '../../clients/core/src/client.ts';
import { serviceError, specOf, startDouble } from './clients-double.ts';
import { content, failure, open, type Received, start, taking } from './clients-upload-double.ts';

describe('uploadFile, with retries', () => {
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
});
