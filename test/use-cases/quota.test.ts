import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { UploadTransport } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { randomContent, spec, upload, type AssetClient } from '../e2e/support/calls.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { openHouse, type House } from './support/house.ts';

describe('an owner', () => {
  let house: House;
  let client: AssetClient;

  beforeAll(async () => {
    house = await openHouse({
      policies: {
        usages: {
          few: { quota: { maxFilesPerOwner: 3 } },
          small: { quota: { maxBytesPerOwner: 1_000 } },
        },
        default: {},
        quota: { maxBytesPerOwner: 5_000 },
      },
    });
    client = house.client;
  });

  afterAll(() => house?.close());

  const store = (size: number, file: { owner?: string; usage?: string }, options = {}) =>
    upload(client, randomContent(size), { file, ...options });

  it('gets no more files and bytes of a usage, and of all, than the policy allows', async () => {
    const few = { owner: 'anna', usage: 'few' };
    for (let i = 0; i < 3; i++) await store(10, few);
    expect(await failureOf(store(10, few))).toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      reason: 'QUOTA_EXCEEDED',
      metadata: { owner: 'anna', usage: 'few', quota: 'files', limit: '3', used: '4' },
      retryMs: undefined,
    });
    const small = { owner: 'anna', usage: 'small' };
    await store(600, small);
    const failure = await failureOf(store(401, small));
    expect(failure.metadata).toMatchObject({ quota: 'bytes', limit: '1000', used: '1001' });
    await store(400, small);
    // What it has of the one usage counts for the total as well.
    const total = await failureOf(store(4_000, { owner: 'anna', usage: 'other' }));
    expect(total.metadata).toEqual({ owner: 'anna', quota: 'bytes', limit: '5000', used: '5030' });
    await store(3_970, { owner: 'anna', usage: 'other' });
    // Others, and files of nobody, are not bound by it.
    await store(900, { owner: 'berta', usage: 'small' });
    await store(4_000, {});
    await store(4_000, {});
  });

  it('is stopped in the middle of a file whose size was not told', async () => {
    const file = { owner: 'carla', usage: 'small' };
    const failure = await failureOf(store(5_000, file, { withSize: false, chunkBytes: 100 }));
    expect(failure.reason).toBe('QUOTA_EXCEEDED');
    await store(1_000, file, { withSize: false });
  });

  it('does not overshoot with uploads at the same time', async () => {
    const file = { owner: 'dora', usage: 'few' };
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => store(10, file)));
    const stored = results.filter(({ status }) => status === 'fulfilled').length;
    expect(stored).toBeLessThanOrEqual(3);
    for (let i = stored; i < 3; i++) await store(10, file);
    expect((await failureOf(store(10, file))).reason).toBe('QUOTA_EXCEEDED');
  });

  it('does not get round it by deleting softly, by StartUpload, or by giving a file another usage or owner', async () => {
    const few = { owner: 'emma', usage: 'few' };
    const files = [await store(10, few), await store(10, few), await store(10, few)];
    await client.deleteFile({ fileId: files[0]!.id });
    expect((await failureOf(store(10, few))).reason).toBe('QUOTA_EXCEEDED');
    const { firstMessage } = spec(few, { sizeBytes: 10n });
    if (firstMessage?.case !== 'uploadSpec') throw new Error('no spec');
    for (const transport of [UploadTransport.THROUGH_SERVICE, UploadTransport.DIRECT]) {
      const start = client.startUpload({ uploadSpec: firstMessage.value, transport });
      expect((await failureOf(start)).reason).toBe('QUOTA_EXCEEDED');
    }
    const elsewhere = await store(10, { owner: 'emma', usage: 'other' });
    const move = (file: { usage?: string; owner?: string }) =>
      client.updateMetadata({
        file: { id: elsewhere.id, ...file },
        updateMask: { paths: Object.keys(file) },
      });
    expect((await failureOf(move({ usage: 'few' }))).reason).toBe('QUOTA_EXCEEDED');
    const foreign = await store(10, { owner: 'frida', usage: 'few' });
    const give = client.updateMetadata({
      file: { id: foreign.id, owner: 'emma' },
      updateMask: { paths: ['owner'] },
    });
    expect((await failureOf(give)).reason).toBe('QUOTA_EXCEEDED');
    await move({ usage: 'small' });
  });

  const start = (
    file: { owner?: string; usage?: string },
    {
      sizeBytes,
      requestId = '',
      direct = false,
    }: { sizeBytes?: number; requestId?: string; direct?: boolean } = {},
  ) =>
    client.startUpload({
      uploadSpec: { file, requestId, ...(sizeBytes !== undefined && { sizeBytes: BigInt(sizeBytes) }) },
      transport: direct ? UploadTransport.DIRECT : UploadTransport.THROUGH_SERVICE,
    });

  /** What came of calls made at the same time: how many did what they were to do; the others are QUOTA_EXCEEDED. */
  async function successes(calls: Promise<unknown>[]): Promise<number> {
    const results = await Promise.all(
      calls.map(async (call) => {
        const reason = await call.then(
          () => 'done',
          async () => (await failureOf(call)).reason,
        );
        expect(['done', 'QUOTA_EXCEEDED']).toContain(reason);
        return reason;
      }),
    );
    return results.filter((result) => result === 'done').length;
  }

  it.each([false, true])('does not evade it by open sessions, direct: %s', async (direct) => {
    const small = { owner: `hans ${direct}`, usage: 'small' };
    expect(await successes(Array.from({ length: 12 }, () => start(small, { sizeBytes: 300, direct })))).toBe(
      3,
    );
    // What is claimed leaves no room for anything else, until it is given up.
    expect((await failureOf(store(200, small))).metadata).toMatchObject({ limit: '1000', used: '1100' });
    const { uploadId } = await start(small, { sizeBytes: 100, direct, requestId: 'mine' });
    expect((await failureOf(start(small, { sizeBytes: 1, direct }))).reason).toBe('QUOTA_EXCEEDED');
    expect((await start(small, { sizeBytes: 100, direct, requestId: 'mine' })).uploadId).toBe(uploadId);
    await client.cancelUpload({ uploadId });
    await store(100, small);
  });

  it('does not evade it by sessions whose size it does not tell', async () => {
    const small = { owner: 'ida', usage: 'small' };
    const ids: string[] = [];
    for (let i = 0; i < 3; i++) ids.push((await start(small)).uploadId);
    const send = (uploadId: string, size: number, writeOffset = 0, finishWrite = false) =>
      client.uploadChunk({
        ...{ uploadId, writeOffset: BigInt(writeOffset), finishWrite },
        ...(size > 0 && { data: { content: randomContent(size) } }),
      });
    await send(ids[0]!, 600);
    expect((await failureOf(send(ids[1]!, 401))).reason).toBe('QUOTA_EXCEEDED');
    await send(ids[1]!, 300);
    expect((await failureOf(store(101, small))).reason).toBe('QUOTA_EXCEEDED');
    await send(ids[0]!, 100, 600);
    // It counts once when it becomes a file.
    await send(ids[0]!, 0, 700, true);
    expect((await failureOf(send(ids[2]!, 1))).reason).toBe('QUOTA_EXCEEDED');
    await client.cancelUpload({ uploadId: ids[1]! });
    await send(ids[2]!, 300, 0, true);
  });

  it('does not evade it by many changes at the same time', async () => {
    const files = await Promise.all(
      Array.from({ length: 20 }, () => store(10, { owner: 'jana', usage: 'other' })),
    );
    const foreign = await Promise.all(
      Array.from({ length: 20 }, () => store(10, { owner: 'karl', usage: 'other' })),
    );
    const change = (id: string, file: { owner?: string; usage?: string }) =>
      client.updateMetadata({ file: { id, ...file }, updateMask: { paths: Object.keys(file) } });
    const few = { owner: 'jana', usage: 'few' };
    const changed = await successes([
      ...files.map(({ id }) => change(id, { usage: 'few' })),
      ...foreign.map(({ id }) => change(id, few)),
    ]);
    expect(changed).toBe(3);
    expect((await failureOf(store(10, few))).reason).toBe('QUOTA_EXCEEDED');
  });

  it('gets a bounded number of open sessions, whoever owns them', async () => {
    const bounded = await openHouse({ env: { ASSET_LIMIT_OPEN_UPLOADS: '5' } });
    try {
      const other = bounded.client;
      const begin = (requestId: string) =>
        other.startUpload({ uploadSpec: { file: { name: 'a' }, requestId } });
      const results = await Promise.allSettled(Array.from({ length: 20 }, (_none, i) => begin(`r${i}`)));
      const begun = results.flatMap((each, i) => (each.status === 'fulfilled' ? [{ i, ...each.value }] : []));
      expect(begun).toHaveLength(5);
      expect(await failureOf(begin('new'))).toMatchObject({
        ...{ code: 'RESOURCE_EXHAUSTED', reason: 'TOO_MANY_UPLOADS', metadata: { limit: '5' } },
      });
      const { i, uploadId } = begun[0]!;
      expect((await begin(`r${i}`)).uploadId).toBe(uploadId);
      await other.cancelUpload({ uploadId });
      await begin('new');
    } finally {
      await bounded.close();
    }
  });

  it('gets the same file for a repeated request although the quota is full', async () => {
    const file = { owner: 'gina', usage: 'few' };
    const content = randomContent(100);
    const first = await upload(client, content, { file, requestId: 'again' });
    await store(10, file);
    await store(10, file);
    expect((await upload(client, content, { file, requestId: 'again' })).id).toBe(first.id);
  });
});
