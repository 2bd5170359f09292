import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { download, randomContent, send, spec, upload, type AssetClient } from '../e2e/support/calls.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { openHouse, type House } from './support/house.ts';

const REUSED = { code: 'ALREADY_EXISTS', reason: 'REQUEST_ID_REUSED' };

describe('a request id', () => {
  let house: House;
  let client: AssetClient;

  beforeAll(async () => {
    house = await openHouse();
    client = house.client;
  });

  afterAll(() => house?.close());

  it('gives the file of the first upload to every later one', async () => {
    const content = randomContent(100_000);
    const requestId = randomUUID();
    const file = await upload(client, content, { requestId, file: { name: 'first' } });
    const blobs = (await house.blobs()).length;
    for (const withSize of [true, false]) {
      expect(await upload(client, content, { requestId, withSize, file: { name: 'other' } })).toEqual(file);
    }
    expect((await house.blobs()).length).toBe(blobs);
  });

  it('makes one file of ten uploads at once', async () => {
    const content = randomContent(300_000);
    const [requestId, owner] = [randomUUID(), randomUUID()];
    const before = (await house.blobs()).length;
    const files = await Promise.all(
      Array.from({ length: 10 }, () => upload(client, content, { requestId, file: { owner } })),
    );
    expect(new Set(files.map(({ id }) => id)).size).toBe(1);
    expect((await client.listFiles({ filter: { owner }, showDeleted: true })).files).toHaveLength(1);
    expect((await house.blobs()).length).toBe(before + 1);
    expect((await download(client, files[0]!.id)).content.equals(content)).toBe(true);
  });

  it('is refused for a session of another size, open or finished', async () => {
    const requestId = randomUUID();
    const begin = (sizeBytes?: bigint) =>
      client.startUpload({ uploadSpec: { requestId, ...(sizeBytes !== undefined && { sizeBytes }) } });
    const { uploadId } = await begin(3n);
    const reused = { ...REUSED, metadata: { file_id: uploadId } };
    expect(await failureOf(begin(4n))).toMatchObject(reused);
    expect((await begin()).uploadId).toBe(uploadId);
    await client.uploadChunk({ uploadId, data: { content: randomContent(3) }, finishWrite: true });
    expect(await failureOf(begin(4n))).toMatchObject(reused);
    expect((await begin(3n)).uploadId).toBe(uploadId);
  });

  it('is refused for other content, also of ten at once', async () => {
    const [requestId, owner] = [randomUUID(), randomUUID()];
    const before = (await house.blobs()).length;
    const results = await Promise.allSettled(
      Array.from({ length: 10 }, (_, i) =>
        upload(client, randomContent(1000 + i), { requestId, file: { owner } }),
      ),
    );
    const won = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    expect(won).toHaveLength(1);
    for (const result of results) {
      if (result.status === 'fulfilled') continue;
      expect(await failureOf(Promise.reject(result.reason as Error))).toMatchObject({
        ...{ ...REUSED, metadata: { file_id: won[0]!.id } },
      });
    }
    expect(await failureOf(upload(client, randomContent(1000), { requestId }))).toMatchObject(REUSED);
    expect((await client.listFiles({ filter: { owner }, showDeleted: true })).files).toHaveLength(1);
    expect((await house.blobs()).length).toBe(before + 1);
  });

  it('does not spare a repeat the verification of its checksums', async () => {
    const content = randomContent(10);
    const requestId = randomUUID();
    await upload(client, content, { requestId });
    const messages = [
      { ...spec({}, { requestId }), data: { content }, checksums: { crc32c: 1 }, finishWrite: true },
    ];
    expect(await failureOf(send(client, messages))).toMatchObject({ reason: 'CHECKSUM_MISMATCH' });
  });

  it('is needed for that: without one every upload makes a new file', async () => {
    const content = randomContent(10);
    expect((await upload(client, content)).id).not.toBe((await upload(client, content)).id);
  });

  it('gives the file also after its deletion', async () => {
    const content = randomContent(10);
    const requestId = randomUUID();
    const file = await upload(client, content, { requestId });
    await client.deleteFile({ fileId: file.id });
    const again = await upload(client, content, { requestId });
    expect(again.id).toBe(file.id);
    expect(again.deleteTime).toBeDefined();
  });

  it('gives the same session, and later its file', async () => {
    const requestId = randomUUID();
    const content = randomContent(5000);
    const start = async () =>
      (await client.startUpload({ uploadSpec: { file: {}, requestId, sizeBytes: 5000n } })).uploadId;
    const ids = await Promise.all([1, 2, 3, 4].map(start));
    expect(new Set(ids).size).toBe(1);
    await client.uploadChunk({ uploadId: ids[0]!, data: { content }, finishWrite: true });
    expect(await start()).toBe(ids[0]);
    expect((await upload(client, content, { requestId })).id).toBe(ids[0]);
  });

  it.each(['with space', 'a\nb', 'ü', 'x'.repeat(129)])('may not be %j', async (requestId) => {
    const failure = await failureOf(upload(client, randomContent(1), { requestId }));
    expect(failure).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID' });
    expect(failure.fields).toEqual(['upload_spec.request_id']);
  });
});
