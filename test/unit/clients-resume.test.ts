import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Code } from '@connectrpc/connect';
import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AssetClient, createAssetClient } from '../../clients/core/src/client.ts';
import type { UploadProgress } from '../../clients/core/src/progress.ts';
import type { UploadSource } from '../../clients/core/src/source.ts';
import { type Double, serviceError, startDouble } from './clients-double.ts';
import { Sessions } from './clients-sessions-double.ts';

const MiB = 2 ** 20;
const content = randomBytes(20 * MiB + 17);

let folder: string;
let path: string;
let sessions: Sessions;
let double: Double;
let client: AssetClient;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'clients-resume-'));
  path = join(folder, 'content.bin');
  await writeFile(path, content);
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(async () => {
  sessions = new Sessions();
  double = await startDouble(sessions.methods);
  client = createAssetClient({ baseUrl: double.baseUrl, retry: { baseDelayMs: 20 } });
});
afterEach(async () => {
  client.close();
  await double[Symbol.asyncDispose]();
});

const sources: Record<string, () => UploadSource> = {
  'a path': () => path,
  bytes: () => content,
  'a Blob': () => new Blob([content]),
  'a stream of Node.js': () => createReadStream(path, { highWaterMark: 100_001 }),
  'a web stream': () => new Blob([content]).stream(),
  'a function that opens a path': () => () => path,
  'a function that opens a stream': () => () => createReadStream(path),
};

/** Throws once for each place that an upload comes past. */
function failingAt(places: number[], fail: () => void): (end: number) => void {
  return (end) => {
    if (places.length === 0 || end < places[0]!) return;
    places.shift();
    fail();
  };
}

describe('a large upload', () => {
  for (const [kind, source] of Object.entries(sources)) {
    it(`goes on from ${kind} where the service stands, after connections that were cut`, async () => {
      const progress: UploadProgress[] = [];
      sessions.onPiece = failingAt([3 * MiB, 11 * MiB, 19 * MiB], () => {
        double.cut();
        throw serviceError(Code.Internal, 'INTERNAL');
      });
      const file = await client.uploadFile(source(), { onProgress: (event) => progress.push(event) });
      expect(file.sizeBytes).toBe(content.length);
      expect(sessions.uploads.size).toBe(1);
      expect([...sessions.uploads.values()][0]!.bytes.equals(content)).toBe(true);
      // At most the piece on which a call ended came twice.
      expect(sessions.sentBytes).toBeLessThanOrEqual(content.length + 3 * (MiB / 2));
      expect(new Set(progress.map(({ attempt }) => attempt))).toEqual(new Set([1, 2, 3, 4]));
      for (const [index, event] of progress.entries()) {
        const before = progress[index - 1]?.sentBytes ?? 0;
        expect(event.wentBack).toBe(event.sentBytes < before);
      }
      expect(progress.filter(({ wentBack }) => wentBack).length).toBeGreaterThan(0);
    });
  }

  it.each(['UPLOAD_TAKEN_OVER', 'WRITE_OFFSET_MISMATCH', 'UPLOAD_STALLED', 'STORE_UNAVAILABLE'])(
    'asks where to go on after %s',
    async (reason) => {
      const codes: Record<string, Code> = {
        UPLOAD_TAKEN_OVER: Code.Aborted,
        WRITE_OFFSET_MISMATCH: Code.OutOfRange,
        UPLOAD_STALLED: Code.DeadlineExceeded,
        STORE_UNAVAILABLE: Code.Unavailable,
      };
      sessions.onPiece = failingAt([10 * MiB], () => {
        throw serviceError(codes[reason]!, reason);
      });
      await client.uploadFile(path);
      expect(sessions.calls).toHaveLength(2);
      expect(sessions.calls[1]!.from).toBe(10 * MiB - MiB / 2);
    },
  );

  it.each([
    [Code.InvalidArgument, 'CHECKSUM_MISMATCH'],
    [Code.Internal, 'INTERNAL'],
    [Code.PermissionDenied, 'PERMISSION'],
  ])('is not tried again after code %s %s', async (code, reason) => {
    sessions.onPiece = () => {
      throw serviceError(code, reason);
    };
    await expect(client.uploadFile(path)).rejects.toMatchObject({ reason });
    expect(sessions.calls).toHaveLength(1);
  });

  it('gets all retries back with progress, and ends without', async () => {
    const told: unknown[] = [];
    const onRetry = ({ reason }: { reason?: unknown }) => told.push(reason);
    const patient = createAssetClient({
      baseUrl: double.baseUrl,
      retry: { retries: 2, baseDelayMs: 5, onRetry },
    });
    const places = Array.from({ length: 19 }, (_none, index) => (index + 1) * MiB);
    sessions.onPiece = failingAt(places, () => {
      throw serviceError(Code.Unavailable, 'STORE_UNAVAILABLE');
    });
    await patient.uploadFile(path);
    expect(sessions.calls).toHaveLength(20);
    expect(told).toEqual(Array(19).fill('STORE_UNAVAILABLE'));

    sessions.onPiece = (end) => {
      if (end > 5 * MiB) throw serviceError(Code.Unavailable, 'STORE_UNAVAILABLE');
    };
    await expect(patient.uploadFile(path)).rejects.toMatchObject({ reason: 'STORE_UNAVAILABLE' });
    // The first call got somewhere; the two after it did not.
    expect(sessions.calls).toHaveLength(20 + 4);
    patient.close();
  });

  it('goes on where an earlier process left it, and is the same file afterwards', async () => {
    sessions.onPiece = failingAt([15 * MiB], () => {
      throw serviceError(Code.Internal, 'INTERNAL');
    });
    for (const source of [() => path, () => createReadStream(path), () => () => path]) {
      sessions.uploads.clear();
      sessions.onPiece = failingAt([13 * MiB], () => {
        throw serviceError(Code.Internal, 'INTERNAL');
      });
      await expect(client.uploadFile(path, { requestId: 'r' })).rejects.toMatchObject({ reason: 'INTERNAL' });
      sessions.calls.length = 0;
      const file = await client.uploadFile(source(), { requestId: 'r' });
      expect(sessions.calls[0]!.from).toBe(13 * MiB - MiB / 2);
      expect(sessions.sentBytes).toBe(content.length - sessions.calls[0]!.from);
      expect((await client.uploadFile(source(), { requestId: 'r' })).id).toBe(file.id);
      expect(sessions.sentBytes).toBe(content.length - sessions.calls[0]!.from);
      const other = Buffer.concat([content.subarray(1), Buffer.from('x')]);
      await expect(client.uploadFile(other, { requestId: 'r' })).rejects.toMatchObject({
        code: 'ALREADY_EXISTS',
        reason: 'REQUEST_ID_REUSED',
      });
    }
  });

  it('ends with the id alone of a finished file that the caller may not read', async () => {
    const first = await client.uploadFile(path, { requestId: 'r' });
    sessions.isReadable = false;
    const progress: UploadProgress[] = [];
    const onProgress = (event: UploadProgress) => progress.push(event);
    const again = await client.uploadFile(path, { requestId: 'r', onProgress });
    expect(again).toMatchObject({ id: first.id, sizeBytes: 0, sha256: undefined });
    expect(progress.at(-1)!.sentBytes).toBe(content.length);
  });

  it('begins again if the service has lost it and the source can be read again', async () => {
    let lost = false;
    sessions.onPiece = (end) => {
      if (lost || end < 18 * MiB) return;
      lost = true;
      sessions.uploads.clear();
      throw serviceError(Code.Unavailable, 'STORE_UNAVAILABLE');
    };
    await client.uploadFile(path);
    expect(sessions.calls.map(({ from }) => from)).toEqual([0, 0]);

    lost = false;
    sessions.uploads.clear();
    const error = await client.uploadFile(createReadStream(path)).then(
      () => undefined,
      (failure: Error) => failure,
    );
    expect(error).toMatchObject({ code: 'NOT_FOUND', reason: 'UPLOAD_NOT_FOUND' });
    expect(error!.message).toContain('only the bytes from 16777216 on are still in memory');
  });

  it('keeps no more of a stream than its window', async () => {
    const most: number[] = [];
    sessions.onPiece = (_end, call) => void (most[call] = sessions.calls[call - 1]!.bytes);
    await client.uploadFile(createReadStream(path), { windowBytes: 3 * MiB });
    expect(Math.max(...most.filter((size) => size !== undefined))).toBe(3 * MiB);
    expect(sessions.calls).toHaveLength(7);
  });

  it('does not take the failure of a stream between two tries for its end', async () => {
    const source = async function* () {
      yield content.subarray(0, MiB);
      await sleep(30);
      throw new Error('the disk is gone');
    };
    sessions.onPiece = failingAt([MiB / 2], () => {
      throw serviceError(Code.Unavailable, 'STORE_UNAVAILABLE', { retryMs: 100 });
    });
    await expect(client.uploadFile(source())).rejects.toMatchObject({ reason: 'SOURCE_FAILED' });
    // It became no file, and is cancelled.
    expect([sessions.uploads.size, sessions.cancelled]).toEqual([0, ['u1']]);
  });

  it('ends in time while a stream is silent that is read for its hash alone', async () => {
    sessions.onPiece = failingAt([3 * MiB], () => {
      throw serviceError(Code.Internal, 'INTERNAL');
    });
    await expect(client.uploadFile(path, { requestId: 's' })).rejects.toBeDefined();
    const silent = () => new Readable({ read: () => undefined });
    await expect(client.uploadFile(silent(), { requestId: 's', timeoutMs: 200 })).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
    const signal = AbortSignal.timeout(100);
    await expect(client.uploadFile(silent(), { requestId: 's', signal })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
  });
});

describe('a small stream of known size', () => {
  it('is sent in one call, and again from memory', async () => {
    let calls = 0;
    const small = await startDouble({
      upload: async (requests) => {
        let size = 0;
        for await (const { data } of requests) {
          size += data?.content.length ?? 0;
          if (calls === 0 && size > MiB) {
            calls++;
            throw serviceError(Code.Unavailable, 'STORE_UNAVAILABLE');
          }
        }
        calls++;
        return { writeStatus: { case: 'file', value: { id: 'abc', sizeBytes: BigInt(size) } } };
      },
    });
    await using one = createAssetClient({ baseUrl: small.baseUrl, retry: { baseDelayMs: 5 } });
    const sizeBytes = 3 * MiB;
    const file = await one.uploadFile(Readable.from([content.subarray(0, sizeBytes)]), { sizeBytes });
    expect(file.sizeBytes).toBe(sizeBytes);
    expect(calls).toBe(2);
    await small[Symbol.asyncDispose]();
  });
});

describe('uploadFiles', () => {
  it('keeps the order and the limit, and continues after failures', async () => {
    let running = 0;
    let most = 0;
    const many = await startDouble({
      upload: async (requests) => {
        most = Math.max(most, ++running);
        let name = '';
        let size = 0;
        for await (const { firstMessage, data } of requests) {
          if (firstMessage.case === 'uploadSpec') name = firstMessage.value.file!.name;
          size += data?.content.length ?? 0;
        }
        await sleep(Math.random() * 20);
        running--;
        if (name === 'bad') throw serviceError(Code.InvalidArgument, 'FIELD_INVALID');
        return { writeStatus: { case: 'file', value: { id: name, sizeBytes: BigInt(size) } } };
      },
    });
    await using one = createAssetClient({ baseUrl: many.baseUrl });
    async function* items() {
      for (let n = 0; n < 20; n++) {
        yield { source: Buffer.alloc(n), name: n === 7 ? 'bad' : `f${n}`, usage: 'test' };
      }
      yield join(folder, 'none');
    }
    const settled: number[] = [];
    const results = await one.uploadFiles(items(), {
      concurrency: 3,
      onResult: (_result, index) => settled.push(index),
    });
    expect(most).toBe(3);
    expect(results).toHaveLength(21);
    expect(results.map(({ file }) => file?.id)).toEqual(
      Array.from({ length: 21 }, (_none, n) => (n === 7 || n === 20 ? undefined : `f${n}`)),
    );
    expect(results[7]!.error).toMatchObject({ reason: 'FIELD_INVALID' });
    expect(results[20]!.error).toMatchObject({ reason: 'SOURCE_FAILED' });
    expect(settled.sort((a, b) => a - b)).toEqual(results.map((_result, index) => index));
    await expect(one.uploadFiles([], { concurrency: 0 })).rejects.toMatchObject({ reason: 'OPTION_INVALID' });
    await many[Symbol.asyncDispose]();
  });
});
