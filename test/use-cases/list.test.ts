import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import type { File } from '@asset-service/contract/asset/v1/file_pb.js';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { randomContent, upload, type AssetClient } from '../e2e/support/calls.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { openHouse, type House } from './support/house.ts';

type ListRequest = Exclude<Parameters<AssetClient['listFiles']>[0], { $typeName: string }>;

describe('lists', () => {
  const projects = ['project0', 'project1'];
  let house: House;
  let client: AssetClient;
  /** Oldest first. */
  const made: File[] = [];

  beforeAll(async () => {
    house = await openHouse();
    client = house.client;
    const types = ['image/png', 'image/gif', 'text/plain; charset=utf-8'];
    const heads = ['89504e470d0a1a0a0000000d49484452', '474946383961010001000000', '68656c6c6f'];
    for (let i = 0; i < 24; i++) {
      const content = new Uint8Array(Buffer.from(heads[i % 3]!, 'hex'));
      const relations = { project: { ids: [projects[i % 2]!] } };
      const file = {
        contentType: types[i % 3]!,
        owner: `owner ${i % 4}`,
        usage: `usage ${i % 2}`,
        relations,
      };
      made.push(await upload(client, content, { file: { ...file, name: `file ${i}` } }));
      if (i === 11) await sleep(10);
    }
  });

  afterAll(() => house?.close());

  const ids = (files: readonly { readonly id: string }[]) => files.map(({ id }) => id);
  const newestFirst = (files: readonly File[]) => ids([...files].reverse());

  async function all(request: ListRequest): Promise<string[]> {
    const found: string[] = [];
    let pageToken = '';
    do {
      const page = await client.listFiles({ ...request, pageToken });
      found.push(...ids(page.files));
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    return found;
  }

  it('has every file, newest first, whatever the size of a page', async () => {
    for (const pageSize of [1, 7, 23, 24, 25, 0, 5000]) {
      expect((await all({ pageSize })).sort()).toEqual(ids(made).sort());
    }
    const { files } = await client.listFiles({});
    const times = files.map(({ createTime }) => timestampMs(createTime!));
    expect(times).toEqual([...times].sort((a, b) => b - a));
    expect(files.find(({ id }) => id === made[3]!.id)).toEqual(made[3]);
  });

  it('filters by owner, usage, relation and type, alone and combined', async () => {
    const of = (test: (i: number) => boolean) => newestFirst(made.filter((_, i) => test(i))).sort();
    const cases: [ListRequest['filter'], (i: number) => boolean][] = [
      [{ owner: 'owner 1' }, (i) => i % 4 === 1],
      [{ usage: 'usage 0' }, (i) => i % 2 === 0],
      [{ relation: { name: 'project', id: projects[1]! } }, (i) => i % 2 === 1],
      [{ contentType: 'image/png' }, (i) => i % 3 === 0],
      [{ contentType: 'IMAGE/*' }, (i) => i % 3 < 2],
      [{ contentType: 'text/plain' }, (i) => i % 3 === 2],
      [{ owner: 'owner 3', usage: 'usage 1', contentType: 'image/*' }, (i) => i % 4 === 3 && i % 3 < 2],
      [{ owner: "' or 1=1 --" }, () => false],
      [{ contentType: 'image/%' }, () => false],
    ];
    for (const [filter, test] of cases) {
      expect([filter, (await all({ filter: filter!, pageSize: 3 })).sort()]).toEqual([filter, of(test)]);
    }
  });

  it('filters by creation time, from inclusive, to exclusive', async () => {
    const border = made[12]!.createTime!;
    const later = await all({ filter: { createTimeFrom: border } });
    expect(later).toContain(made[12]!.id);
    expect(later).not.toContain(made[11]!.id);
    const earlier = await all({ filter: { createTimeTo: border } });
    expect(earlier).toContain(made[11]!.id);
    expect(earlier).not.toContain(made[12]!.id);
    expect([...later, ...earlier].sort()).toEqual(ids(made).sort());
    const future = timestampFromMs(Date.now() + 3_600_000);
    expect(await all({ filter: { createTimeFrom: future } })).toEqual([]);
  });

  it('shows deleted files where asked', async () => {
    const owner = randomUUID();
    const kept = await upload(client, randomContent(1), { file: { owner } });
    const gone = await upload(client, randomContent(1), { file: { owner } });
    await client.deleteFile({ fileId: gone.id });
    expect(await all({ filter: { owner } })).toEqual([kept.id]);
    expect((await all({ filter: { owner }, showDeleted: true })).sort()).toEqual([kept.id, gone.id].sort());
  });

  it('shows every file once while files come and go', async () => {
    const owner = randomUUID();
    const before: File[] = [];
    for (let i = 0; i < 10; i++) before.push(await upload(client, randomContent(1), { file: { owner } }));
    const seen: string[] = [];
    let pageToken = '';
    do {
      const page = await client.listFiles({ filter: { owner }, pageSize: 2, pageToken });
      seen.push(...ids(page.files));
      pageToken = page.nextPageToken;
      await upload(client, randomContent(1), { file: { owner } });
      // One that was shown already, so that positions would shift the other way.
      await client.deleteFile({ fileId: seen.at(-1)! });
    } while (pageToken !== '');
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen).toEqual(expect.arrayContaining(ids(before)));
  });

  it('refuses a page token that is damaged or of another list', async () => {
    const { nextPageToken } = await client.listFiles({ pageSize: 1, filter: { owner: 'owner 1' } });
    expect(nextPageToken).not.toBe('');
    const invalid = { code: 'INVALID_ARGUMENT', reason: 'PAGE_TOKEN_INVALID' };
    for (const request of [
      { pageToken: nextPageToken },
      { pageToken: nextPageToken, filter: { owner: 'owner 2' } },
      { pageToken: nextPageToken, filter: { owner: 'owner 1' }, showDeleted: true },
      { pageToken: 'nonsense', filter: { owner: 'owner 1' } },
      { pageToken: nextPageToken.slice(2), filter: { owner: 'owner 1' } },
    ]) {
      expect(await failureOf(client.listFiles(request))).toMatchObject(invalid);
    }
  });

  it('refuses what breaks the rules of a list', async () => {
    expect(await failureOf(client.listFiles({ pageSize: -1 }))).toMatchObject({ fields: ['page_size'] });
    const filter = { relation: { name: 'a b', id: '' } };
    const failure = await failureOf(client.listFiles({ filter }));
    expect([...failure.fields].sort()).toEqual(['filter.relation.id', 'filter.relation.name']);
    const pageToken = 'x'.repeat(2049);
    expect(await failureOf(client.listFiles({ pageToken }))).toMatchObject({ fields: ['page_token'] });
  });

  it('gives many records at once, in the order asked, and names the missing', async () => {
    const fileIds = [made[3]!.id, 'missing00000000', made[1]!.id, 'missing00000001', made[2]!.id];
    const { files, missingFileIds } = await client.batchGetFiles({ fileIds });
    expect(files).toEqual([made[3], made[1], made[2]]);
    expect(missingFileIds).toEqual(['missing00000000', 'missing00000001']);
    const many = [
      ...ids(made),
      ...Array.from({ length: 976 }, (_, i) => `missing${String(i).padStart(8, '0')}`),
    ];
    const answer = await client.batchGetFiles({ fileIds: many });
    expect(answer.files).toEqual(made);
    expect(answer.missingFileIds).toHaveLength(976);
    for (const count of [0, 1001]) {
      const failure = await failureOf(
        client.batchGetFiles({ fileIds: Array.from({ length: count }, () => 'x') }),
      );
      expect(failure).toMatchObject({ code: 'INVALID_ARGUMENT', fields: ['file_ids'] });
    }
  });
});
