import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  download,
  messagesOf,
  randomContent,
  send,
  spec,
  upload,
  urlOf,
  type AssetClient,
} from '../e2e/support/calls.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { openHouse, type House } from './support/house.ts';

const PNG = Buffer.from('89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489', 'hex');

describe('deletion and policies', () => {
  let house: House;
  let client: AssetClient;

  beforeAll(async () => {
    const usages = {
      gone: { retentionSeconds: 0 },
      brief: { retentionSeconds: 1 },
      avatar: { maxSizeBytes: 1000, contentTypes: ['image/*'] },
      note: {},
    };
    house = await openHouse({ policies: { usages } });
    client = house.client;
  });

  afterAll(() => house?.close());

  const make = (usage: string) => upload(client, randomContent(100), { file: { usage } });

  it('soft-deletes and restores', async () => {
    const content = randomContent(100);
    const file = await upload(client, content, { file: { usage: 'note' } });
    const deleted = (await client.deleteFile({ fileId: file.id })).file!;
    expect(deleted.etag).not.toBe(file.etag);
    const kept = timestampMs(deleted.purgeTime!) - timestampMs(deleted.deleteTime!);
    expect(kept).toBe(30 * 24 * 3600 * 1000);
    expect((await client.getFile({ fileId: file.id })).file).toEqual(deleted);

    const gone = { code: 'NOT_FOUND', reason: 'FILE_DELETED', metadata: { file_id: file.id } };
    expect(await failureOf(urlOf(client, file.id))).toMatchObject(gone);
    expect(await failureOf(download(client, file.id))).toMatchObject(gone);
    expect(await failureOf(client.deleteFile({ fileId: file.id }))).toMatchObject(gone);
    expect(await failureOf(client.updateMetadata({ file: { id: file.id, name: 'x' } }))).toMatchObject(gone);

    const back = (await client.undeleteFile({ fileId: file.id })).file!;
    expect(back).toMatchObject({ id: file.id, name: file.name });
    expect([back.deleteTime, back.purgeTime]).toEqual([undefined, undefined]);
    expect((await download(client, file.id)).content.equals(content)).toBe(true);
    expect(await failureOf(client.undeleteFile({ fileId: file.id }))).toMatchObject({
      ...{ code: 'ALREADY_EXISTS', reason: 'FILE_NOT_DELETED' },
    });
  });

  it('checks the etag for delete and undelete', async () => {
    const file = await make('note');
    const stale = { code: 'ABORTED', reason: 'ETAG_MISMATCH' };
    expect(await failureOf(client.deleteFile({ fileId: file.id, etag: 'other' }))).toMatchObject(stale);
    const deleted = (await client.deleteFile({ fileId: file.id, etag: file.etag })).file!;
    const late = client.undeleteFile({ fileId: file.id, etag: file.etag });
    expect(await failureOf(late)).toMatchObject(stale);
    await client.undeleteFile({ fileId: file.id, etag: deleted.etag });
  });

  it('refuses to delete or restore what does not exist', async () => {
    const missing = { code: 'NOT_FOUND', reason: 'FILE_NOT_FOUND' };
    expect(await failureOf(client.deleteFile({ fileId: 'missing00000000' }))).toMatchObject(missing);
    expect(await failureOf(client.undeleteFile({ fileId: 'missing00000000' }))).toMatchObject(missing);
  });

  it('removes record and bytes when the retention of the usage is over', async () => {
    const kept = await make('note');
    await client.deleteFile({ fileId: kept.id });
    const blobs = (await house.blobs()).length;
    const brief = await make('brief');
    const gone = await make('gone');
    expect((await house.blobs()).length).toBe(blobs + 2);
    for (const { id } of [brief, gone]) await client.deleteFile({ fileId: id });
    const { purgeTime } = (await client.getFile({ fileId: brief.id })).file!;
    await sleep(timestampMs(purgeTime!) - Date.now() + 1);
    await house.sweep();
    const { missingFileIds } = await client.batchGetFiles({ fileIds: [kept.id, brief.id, gone.id] });
    expect(missingFileIds).toEqual([brief.id, gone.id]);
    expect((await house.blobs()).length).toBe(blobs);
    expect(await failureOf(client.undeleteFile({ fileId: brief.id }))).toMatchObject({
      reason: 'FILE_NOT_FOUND',
    });
    await client.undeleteFile({ fileId: kept.id });
  });

  it('keeps a file that is restored in time', async () => {
    const file = await make('brief');
    await client.deleteFile({ fileId: file.id });
    await client.undeleteFile({ fileId: file.id });
    await sleep(1_001);
    await house.sweep();
    expect((await download(client, file.id)).content).toHaveLength(100);
  });

  it('accepts what a usage allows and nothing else', async () => {
    const small = await upload(client, new Uint8Array(PNG), { file: { usage: 'avatar' } });
    expect(small.contentType).toBe('image/png');
    const blobs = (await house.blobs()).length;
    const invalid = (reason: string) => ({ code: 'INVALID_ARGUMENT', reason });
    const avatar = { usage: 'avatar' };
    expect(await failureOf(make('nothing'))).toMatchObject(invalid('USAGE_UNKNOWN'));
    expect(await failureOf(make(''))).toMatchObject(invalid('USAGE_UNKNOWN'));
    expect(await failureOf(make('avatar'))).toMatchObject(invalid('CONTENT_TYPE_NOT_ALLOWED'));
    const lie = upload(client, randomContent(10), { file: { ...avatar, contentType: 'image/png' } });
    expect(await failureOf(lie)).toMatchObject(invalid('CONTENT_TYPE_MISMATCH'));
    // A size that is told is refused before a byte is sent, one that is not while it comes.
    const told = send(client, [spec(avatar, { sizeBytes: 10_000n })]);
    expect(await failureOf(told)).toMatchObject({
      ...{ ...invalid('FILE_TOO_LARGE'), metadata: { usage: 'avatar', max_size_bytes: '1000' } },
    });
    const large = new Uint8Array(Buffer.concat([PNG, randomContent(1000)]));
    const untold = send(client, messagesOf(large, { file: avatar, withSize: false }));
    expect(await failureOf(untold)).toMatchObject(invalid('FILE_TOO_LARGE'));
    expect((await house.blobs()).length).toBe(blobs);
    const note = await make('note');
    const moved = client.updateMetadata({ file: { id: note.id, usage: 'avatar' } });
    expect(await failureOf(moved)).toMatchObject(invalid('CONTENT_TYPE_NOT_ALLOWED'));
  });
});
