import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Code } from '@connectrpc/connect';
import type { AssetClient } from '../e2e/support/calls.ts';
import { download, randomContent, upload, urlOf } from '../e2e/support/calls.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { openHouse, type House } from './support/house.ts';

const DENIED = { code: 'PERMISSION_DENIED', reason: 'PERMISSION_DENIED' };

describe('a usage policy', () => {
  let house: House;
  let [ann, ben, reader, writer]: AssetClient[] = [];

  beforeAll(async () => {
    house = await openHouse({
      identities: true,
      policies: {
        usages: {
          shared: { read: ['owner', 'authenticated'] },
          team: { read: ['owner', 'relation:team'] },
          sealed: { read: [], write: [] },
          inbox: { read: ['owner'], write: ['authenticated'] },
        },
        default: {},
      },
    });
    [ann, ben, reader, writer] = await Promise.all([
      house.as({ sub: 'ann' }),
      house.as({ sub: 'ben' }),
      house.as({ sub: 'reader', scope: 'asset:read' }),
      house.as({ sub: 'writer', scope: 'asset:write' }),
    ]);
  });

  afterAll(() => house?.close());

  const content = randomContent(100);
  const make = (client: AssetClient, file = {}) => upload(client, content, { file });

  it('gives a file to who uploads it, and to nobody else', async () => {
    const { id, owner } = await make(ann!);
    expect(owner).toBe('ann');
    expect((await download(ann!, id)).content.equals(content)).toBe(true);
    // Whether there is such a file is told to nobody who may not read it.
    for (const fileId of [id, 'missing00000000']) {
      expect(await failureOf(ben!.getFile({ fileId }))).toMatchObject(DENIED);
      expect(await failureOf(urlOf(ben!, fileId))).toMatchObject(DENIED);
      expect(await failureOf(download(ben!, fileId))).toMatchObject(DENIED);
      expect(await failureOf(ben!.updateMetadata({ file: { id: fileId, name: 'x' } }))).toMatchObject(DENIED);
      expect(await failureOf(ben!.deleteFile({ fileId }))).toMatchObject(DENIED);
    }
  });

  it('lets a service do what its roles say, and no more', async () => {
    const { id } = await make(ann!);
    expect((await download(reader!, id)).content.equals(content)).toBe(true);
    expect(await failureOf(reader!.updateMetadata({ file: { id, name: 'x' } }))).toMatchObject(DENIED);
    expect(await failureOf(make(reader!))).toMatchObject(DENIED);
    expect((await writer!.updateMetadata({ file: { id, name: 'x' } })).file!.name).toBe('x');
    expect(await failureOf(download(writer!, id))).toMatchObject(DENIED);
    expect(await failureOf(writer!.deleteFile({ fileId: id }))).toMatchObject(DENIED);
  });

  it('opens a usage to whom it names', async () => {
    const shared = await make(ann!, { usage: 'shared' });
    expect((await ben!.getFile({ fileId: shared.id })).file!.id).toBe(shared.id);
    expect(await failureOf(ben!.deleteFile({ fileId: shared.id }))).toMatchObject(DENIED);
    const team = await make(ann!, { usage: 'team', relations: { team: { ids: ['ben'] } } });
    expect((await download(ben!, team.id)).content.equals(content)).toBe(true);
    const other = await make(ann!, { usage: 'team', relations: { team: { ids: ['eve'] } } });
    expect(await failureOf(download(ben!, other.id))).toMatchObject(DENIED);
    expect(await failureOf(make(ann!, { usage: 'sealed' }))).toMatchObject(DENIED);
  });

  it('lists for a person what that person may read', async () => {
    const usage = 'team';
    const seen = await make(ann!, { usage, relations: { team: { ids: ['cleo'] } } });
    await make(ann!, { usage, relations: { team: { ids: ['dora'] } } });
    const cleo = await house.as({ sub: 'cleo' });
    const { files } = await cleo.listFiles({ filter: { usage } });
    expect(files.map(({ id }) => id)).toEqual([seen.id]);
    const all = await reader!.listFiles({ filter: { usage } });
    expect(all.files.length).toBeGreaterThan(1);
  });

  it('gives a person in a batch what that person may read, and tells missing and forbidden alike', async () => {
    const mine = await make(ben!);
    const theirs = await make(ann!);
    const fileIds = [theirs.id, mine.id, 'missing00000000'];
    const { files, missingFileIds } = await ben!.batchGetFiles({ fileIds });
    expect(files.map(({ id }) => id)).toEqual([mine.id]);
    expect(missingFileIds).toEqual([theirs.id, 'missing00000000']);
    const requests = fileIds.map((value) => ({ source: { case: 'fileId' as const, value } }));
    const { results } = await ben!.batchGetFileUrls({ requests });
    const told = results.map(({ result }) => result.case === 'error' && Code[result.value.code]);
    expect(told).toEqual(['PermissionDenied', false, 'PermissionDenied']);
  });

  it('goes by the person that a service acts for', async () => {
    const roles = { sub: 'bff', scope: 'asset:act-for-user' };
    const forAnn = await house.as({ ...roles, endUser: 'ann' });
    const forBen = await house.as({ ...roles, endUser: 'ben' });
    const { id, owner } = await make(forAnn);
    expect(owner).toBe('ann');
    expect((await ann!.getFile({ fileId: id })).file!.id).toBe(id);
    expect(await failureOf(forBen.getFile({ fileId: id }))).toMatchObject(DENIED);
    const without = await house.as({ sub: 'bff', scope: 'asset:read', endUser: 'ann' });
    expect((await failureOf(without.getFile({ fileId: id }))).code).toMatch(
      /PERMISSION_DENIED|UNAUTHENTICATED/,
    );
  });
});
