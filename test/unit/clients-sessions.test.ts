import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Code } from '@connectrpc/connect';
import { createHash, randomBytes } from 'node:crypto';
import { type AssetClient, createAssetClient } from '../../clients/core/src/client.ts';
import type { AssetClientError } from '../../clients/core/src/errors.ts';
import { eventually } from '../support/eventually.ts';
import { type Double, serviceError, startDouble } from './clients-double.ts';
import { Sessions } from './clients-sessions-double.ts';

const MiB = 2 ** 20;
const content = randomBytes(10 * MiB + 17);
const sha256 = createHash('sha256').update(content).digest('hex');

let sessions: Sessions;
let double: Double;
let client: AssetClient;

beforeEach(async () => {
  sessions = new Sessions();
  double = await startDouble(sessions.methods);
  client = createAssetClient({ baseUrl: double.baseUrl, retry: { baseDelayMs: 1, maxDelayMs: 2 } });
});
afterEach(async () => {
  client.close();
  await double[Symbol.asyncDispose]();
});

/** What a promise fails with. */
async function failure(promise: Promise<unknown>): Promise<AssetClientError> {
  return promise.then(
    () => {
      throw new Error('it did not fail');
    },
    (error: unknown) => error as AssetClientError,
  );
}

describe('a large upload that fails for good', () => {
  it.each(['abort', 'refusal'])(
    'is cancelled after an %s, unless the caller chose its request id',
    async (how) => {
      for (const requestId of [undefined, 'mine']) {
        const stop = new AbortController();
        sessions.onPiece = (end) => {
          if (end < 4 * MiB) return;
          if (how === 'abort') stop.abort();
          else throw serviceError(Code.PermissionDenied, 'PERMISSION_DENIED');
        };
        const error = await failure(client.uploadFile(content, { requestId, signal: stop.signal }));
        expect(error.code).toBe(how === 'abort' ? 'CANCELLED' : 'PERMISSION_DENIED');
        expect(error.requestId).toEqual(requestId ?? expect.stringMatching(/^[0-9a-f-]{36}$/));
        expect(sessions.cancelled).toEqual(['u1']);
        expect(sessions.uploads.size).toBe(requestId === undefined ? 0 : 1);
      }
      // With the id of the error it goes on.
      sessions.onPiece = () => undefined;
      await client.uploadFile(content, { requestId: 'mine' });
      expect(sessions.sentBytes).toBeLessThan(content.length + 9 * MiB);
    },
  );

  it('is cancelled also where the caller gave up before it learned its id', async () => {
    const stop = new AbortController();
    let answer = () => undefined as void;
    sessions.onStart = () => {
      stop.abort();
      return new Promise<void>((resolve) => (answer = resolve));
    };
    const error = await failure(client.uploadFile(content, { signal: stop.signal }));
    expect(error).toMatchObject({ code: 'CANCELLED', requestId: expect.any(String) });
    answer();
    await eventually(() => expect(sessions.cancelled).toEqual(['u1']));
  });

  it('waits for a service that is still writing down where the call ended', async () => {
    let tries = 0;
    const { cancelUpload } = sessions.methods;
    const busy = await startDouble({
      ...sessions.methods,
      cancelUpload: (request, context) => {
        if (++tries < 3) throw serviceError(Code.Aborted, 'UPLOAD_TAKEN_OVER');
        return cancelUpload!(request, context);
      },
    });
    const other = createAssetClient({ baseUrl: busy.baseUrl });
    sessions.onPiece = () => {
      throw serviceError(Code.InvalidArgument, 'CONTENT_TYPE_MISMATCH');
    };
    expect(await failure(other.uploadFile(content))).toMatchObject({ reason: 'CONTENT_TYPE_MISMATCH' });
    expect(sessions.cancelled).toEqual(['u1']);
    other.close();
    await busy[Symbol.asyncDispose]();
  });
});

describe('retries of transfers', () => {
  it('are limited by time, not by number', async () => {
    let left = 12;
    const fail = () => {
      if (left-- > 0) throw serviceError(Code.Unavailable, 'STORE_UNAVAILABLE', { retryMs: 1 });
    };
    const retried: number[] = [];
    const flaky = await startDouble({
      ...sessions.methods,
      upload: async (requests, context) => {
        fail();
        return sessions.methods.upload!(requests, context);
      },
      downloadFile: async function* () {
        fail();
        yield { file: { id: 'abc', sizeBytes: 2n }, data: { content: new Uint8Array([1, 2]) } };
      },
      getFile: () => {
        fail();
        return { file: { id: 'abc' } };
      },
    });
    const patient = createAssetClient({
      baseUrl: flaky.baseUrl,
      retry: { baseDelayMs: 1, maxDelayMs: 2, onRetry: (_failure, delayMs) => retried.push(delayMs) },
    });
    expect((await patient.uploadFile(content)).sizeBytes).toBe(content.length);
    expect(retried).toHaveLength(12);
    left = 12;
    expect((await patient.downloadBytes('abc')).bytes).toEqual(new Uint8Array([1, 2]));
    left = 12;
    expect(await failure(patient.getFile('abc'))).toMatchObject({ reason: 'STORE_UNAVAILABLE' });
    expect(left).toBe(6);
    left = Infinity;
    const error = await failure(
      patient.uploadFile(Buffer.from('x'), { name: 'x', timeoutMs: 150, requestId: 'mine' }),
    );
    expect(error.requestId).toBe('mine');
    expect(['UNAVAILABLE', 'DEADLINE_EXCEEDED']).toContain(error.code);
    patient.close();
    await flaky[Symbol.asyncDispose]();
  });

  it('end at a full quota', async () => {
    let calls = 0;
    sessions.onPiece = () => {
      calls += 1;
      throw serviceError(Code.ResourceExhausted, 'QUOTA_EXCEEDED');
    };
    expect(await failure(client.uploadFile(content))).toMatchObject({ reason: 'QUOTA_EXCEEDED' });
    expect(calls).toBe(1);
  });
});

describe('uploads by their id', () => {
  it('are begun, looked at, resumed from any source, and finished', async () => {
    const started = await client.startUpload({ name: 'a.bin', sizeBytes: content.length, owner: 'ann' });
    expect(started).toMatchObject({ uploadId: 'u1', partSizeBytes: MiB, requestId: expect.any(String) });
    expect([...sessions.uploads.values()][0]!.spec).toMatchObject({
      ...{
        sizeBytes: BigInt(content.length),
        requestId: started.requestId,
        file: { name: 'a.bin', owner: 'ann' },
      },
    });
    expect(await client.getUpload('u1')).toMatchObject({ persistedBytes: 0, file: undefined });
    sessions.onPiece = (end) => {
      if (end > 6 * MiB) throw serviceError(Code.Internal, 'INTERNAL');
    };
    expect(await failure(client.resumeUpload('u1', content))).toMatchObject({ reason: 'INTERNAL' });
    // A failure leaves it to whoever goes on.
    expect(sessions.cancelled).toEqual([]);
    expect(await client.getUpload('u1')).toMatchObject({ persistedBytes: 6 * MiB });
    sessions.onPiece = () => undefined;
    const file = await client.resumeUpload('u1', new Blob([content]).stream());
    expect(file).toMatchObject({ id: 'u1', sizeBytes: content.length, sha256 });
    expect(await client.getUpload('u1')).toMatchObject({ persistedBytes: content.length, file: { sha256 } });
    // What is a file of other bytes is not silently another's.
    expect(await failure(client.resumeUpload('u1', Buffer.from('x')))).toMatchObject({
      reason: 'REQUEST_ID_REUSED',
    });
  });

  it('are cancelled, and are then not begun anew', async () => {
    const { uploadId } = await client.startUpload();
    await client.cancelUpload(uploadId);
    expect(sessions.cancelled).toEqual([uploadId]);
    expect(await failure(client.resumeUpload(uploadId, content))).toMatchObject({
      reason: 'UPLOAD_NOT_FOUND',
    });
    expect(sessions.uploads.size).toBe(0);
    expect(await failure(client.cancelUpload(uploadId))).toMatchObject({ reason: 'UPLOAD_NOT_FOUND' });
  });

  it('are sent by others in parts, and completed', async () => {
    const { uploadId } = await client.startUpload({ sizeBytes: 5, transport: 'direct' });
    const { parts } = await client.signUploadParts(uploadId, [1, 2]);
    expect(parts[1]).toEqual({
      partNumber: 2,
      url: `http://store/${uploadId}/2`,
      headers: { 'x-part': '2' },
    });
    sessions.uploads.get(uploadId)!.bytes = content;
    expect(await failure(client.completeUpload(uploadId, { sha256: '0'.repeat(64) }))).toMatchObject({
      reason: 'CHECKSUM_MISMATCH',
    });
    expect(await client.completeUpload(uploadId, { sha256 })).toMatchObject({ sha256 });
  });
});
