import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Code } from '@connectrpc/connect';
import type { File } from '@asset-service/contract/asset/v1/file_pb.js';
import { rm } from 'node:fs/promises';
import { clientOf, download, randomContent, upload, urlOf, type AssetClient } from '../e2e/support/calls.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { openHouse, type House } from './support/house.ts';

const MiB = 2 ** 20;

describe('a read', () => {
  const content = randomContent(2 * MiB + 17);
  let house: House;
  let client: AssetClient;
  let file: File;
  let empty: File;

  beforeAll(async () => {
    house = await openHouse({ policies: { usages: { gone: { retentionSeconds: 0 } }, default: {} } });
    client = house.client;
    file = await upload(client, content, { file: { name: 'data.bin' } });
    empty = await upload(client, randomContent(0), { file: { name: 'empty' } });
  });

  afterAll(() => house?.close());

  /** The status that a URL answers with. */
  async function statusOf(url: string): Promise<number> {
    const answer = await fetch(url);
    await answer.body?.cancel();
    return answer.status;
  }

  /** Which ids a batch of records finds. */
  const found = async (...fileIds: string[]) =>
    (await client.batchGetFiles({ fileIds })).files.map(({ id }) => id);

  it('returns the record that the upload returned', async () => {
    for (const one of [file, empty]) expect((await client.getFile({ fileId: one.id })).file).toEqual(one);
    expect((await client.batchGetFiles({ fileIds: [empty.id, file.id] })).files).toEqual([empty, file]);
  });

  it.each(['missing00000000', 'MISSING', '../x', 'x'.repeat(64)])('finds no file %j', async (fileId) => {
    const missing = { code: 'NOT_FOUND', reason: 'FILE_NOT_FOUND', metadata: { file_id: fileId } };
    expect(await failureOf(client.getFile({ fileId }))).toMatchObject(missing);
    expect(await failureOf(download(client, fileId))).toMatchObject(missing);
  });

  it.each(['', 'x'.repeat(65)])('refuses the id %j', async (fileId) => {
    const invalid = { code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID' };
    expect(await failureOf(client.getFile({ fileId }))).toMatchObject(invalid);
    expect(await failureOf(download(client, fileId))).toMatchObject(invalid);
  });

  it.each([
    [0, 0],
    [0, 1],
    [5, 0],
    [5, 10],
    [MiB - 1, MiB + 1],
    [2 * MiB, 10 * MiB],
    [2 * MiB + 16, 1],
  ])('streams from offset %i at most %i bytes', async (offset, limit) => {
    const range = { readOffset: BigInt(offset), readLimit: BigInt(limit) };
    const { content: got, files } = await download(client, file.id, range);
    expect(got.equals(content.subarray(offset, limit > 0 ? offset + limit : undefined))).toBe(true);
    expect(files).toEqual([file]);
  });

  it('streams nothing but the record from the end of a file', async () => {
    for (const [one, readOffset] of [
      [file, file.sizeBytes],
      [empty, 0n],
    ] as const) {
      expect(await download(client, one.id, { readOffset })).toEqual({
        content: Buffer.alloc(0),
        files: [one],
      });
    }
  });

  it('refuses to stream from past the end', async () => {
    for (const [one, readOffset] of [
      [file, file.sizeBytes + 1n],
      [empty, 1n],
      [file, 2n ** 53n],
    ] as const) {
      expect(await failureOf(download(client, one.id, { readOffset }))).toMatchObject({
        ...{ code: 'OUT_OF_RANGE', reason: 'READ_OFFSET_OUT_OF_RANGE' },
        metadata: { size_bytes: String(one.sizeBytes) },
      });
    }
  });

  it.each([
    ['read_offset', { readOffset: -1n }],
    ['read_limit', { readLimit: -1n }],
  ])('refuses a negative %s', async (field, range) => {
    expect(await failureOf(download(client, file.id, range))).toMatchObject({
      ...{ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID', fields: [field] },
    });
  });

  it('ends when its caller goes away, and the service reads on for others', async () => {
    const abort = new AbortController();
    const stream = clientOf(house.url).downloadFile({ fileId: file.id }, { signal: abort.signal });
    const read = async () => {
      for await (const { data } of stream) if (data) abort.abort();
    };
    await expect(read()).rejects.toMatchObject({ code: Code.Canceled });
    expect((await download(client, file.id)).content.equals(content)).toBe(true);
  });

  it('shows a deleted file by its record alone, until it is restored', async () => {
    const { id } = await upload(client, content);
    const url = await urlOf(client, id);
    const deleted = (await client.deleteFile({ fileId: id })).file!;
    expect(deleted.deleteTime).toBeDefined();
    expect((await client.getFile({ fileId: id })).file).toEqual(deleted);
    expect(await found(id)).toEqual([id]);
    const gone = { code: 'NOT_FOUND', reason: 'FILE_DELETED', metadata: { file_id: id } };
    expect(await failureOf(download(client, id))).toMatchObject(gone);
    expect(await failureOf(download(client, id, { readOffset: 99_999_999n }))).toMatchObject(gone);
    expect(await failureOf(urlOf(client, id))).toMatchObject(gone);
    // A URL that was given before the deletion is valid until it expires.
    expect(await statusOf(url)).toBe(200);

    await client.undeleteFile({ fileId: id });
    expect((await download(client, id)).content.equals(content)).toBe(true);
    expect(await statusOf(await urlOf(client, id))).toBe(200);
  });

  it('knows nothing of a purged file', async () => {
    const { id } = await upload(client, content, { file: { usage: 'gone' } });
    const url = await urlOf(client, id);
    await client.deleteFile({ fileId: id });
    await house.sweep();
    const missing = { code: 'NOT_FOUND', reason: 'FILE_NOT_FOUND' };
    expect(await failureOf(client.getFile({ fileId: id }))).toMatchObject(missing);
    expect(await failureOf(download(client, id))).toMatchObject(missing);
    expect(await failureOf(urlOf(client, id))).toMatchObject(missing);
    expect(await found(id, file.id)).toEqual([file.id]);
    expect(await statusOf(url)).toBe(404);
  });

  it('tells a caller that the bytes of a file are lost', async () => {
    const { id } = await upload(client, content);
    const paths = (await house.blobPaths()).filter((path) => path.includes(id));
    expect(paths).toHaveLength(1);
    await rm(paths[0]!);
    const lost = { code: 'DATA_LOSS', reason: 'BLOB_MISSING' };
    expect(await failureOf(download(client, id))).toMatchObject(lost);
    expect((await client.getFile({ fileId: id })).file!.id).toBe(id);
    expect(await statusOf(await urlOf(client, id))).toBe(404);
  });
});
