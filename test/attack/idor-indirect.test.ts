import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Disposition } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { create } from '@bufbuild/protobuf';
import { FileSchema, type File } from '@asset-service/contract/asset/v1/file_pb.js';
import { readFile } from 'node:fs/promises';
import { randomContent, send, spec, upload, urlOf, type AssetClient } from '../e2e/support/calls.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { eventually } from '../support/eventually.ts';
import {
  ADMIN,
  content,
  messages,
  NAMES,
  outcome,
  source,
  startAlicesFiles,
  type AlicesFiles,
} from './support/alices-files.ts';

describe('a file of alice', () => {
  let world: AlicesFiles;
  let client: AssetClient;
  let shared: AlicesFiles['shared'];
  const as = (name: string) => world.as(name);

  beforeAll(async () => {
    world = await startAlicesFiles();
    ({ client, shared } = world);
  });

  afterAll(() => world?.dispose());

  describe('that is given away', () => {
    const large = randomContent(300 * 1024);

    /** What each way to repeat an upload tells its caller about the file. */
    async function repeats(uploadId: string, requestId: string, name: string) {
      const again = { file: { owner: 'alice', name: 'mine' }, requestId };
      const end = { firstMessage: { case: 'uploadId' as const, value: uploadId }, finishWrite: true };
      const { uploadId: started } = await client.startUpload({ uploadSpec: again }, as(name));
      expect(started).toBe(uploadId);
      return {
        get: (await client.getUpload({ uploadId }, as(name))).writeStatus.value,
        chunk: (await client.uploadChunk({ uploadId, data: { content } }, as(name))).writeStatus.value,
        complete: (await client.completeUpload({ uploadId }, as(name))).file,
        append: (await client.upload(messages(end), as(name))).writeStatus.value,
        repeat: await upload(client, content, { ...again, ...as(name) }),
        large: await upload(client, large, { ...again, requestId: `${requestId}-large`, ...as(name) }),
      } as Record<string, File>;
    }

    it.each([
      ['alice', true],
      ['an almighty service for alice', true],
      ['the role write', false],
    ])('is not shown any more to %s, who uploaded it', async (name, isReader) => {
      const requestId = `given-${NAMES.indexOf(name)}`;
      const uploadSpec = { file: { owner: 'alice', name: 'mine' }, requestId };
      const { uploadId } = await client.startUpload({ uploadSpec }, as(name));
      const first = await client.uploadChunk({ uploadId, data: { content }, finishWrite: true }, as(name));
      expect(first.writeStatus.value).toMatchObject({ id: uploadId, name: 'mine', owner: 'alice' });
      const second = await upload(client, large, {
        ...{ ...uploadSpec, requestId: `${requestId}-large` },
        ...as(name),
      });
      expect(second.name).toBe('mine');
      for (const file of Object.values(await repeats(uploadId, requestId, name))) {
        expect([file.name, file.owner]).toEqual(isReader ? ['mine', 'alice'] : ['', '']);
      }

      for (const id of [uploadId, second.id]) {
        await client.updateMetadata(
          {
            file: { id, owner: 'bob', usage: 'sealed', name: 'theirs' },
            updateMask: { paths: ['owner', 'usage', 'name'] },
          },
          as(ADMIN),
        );
      }
      for (const [way, file] of Object.entries(await repeats(uploadId, requestId, name))) {
        const { $typeName: _type, ...told } = file;
        const id = way === 'large' ? second.id : uploadId;
        expect({ way, told }).toEqual({ way, told: toPlain(id) });
      }
      await eventually(async () => {
        const lines = (await readFile(world.auditLog, 'utf8')).split('\n');
        const denied = lines.filter((line) => line.includes(uploadId) && /"read".*"nobody"/.test(line));
        expect(denied.length).toBeGreaterThanOrEqual(5);
      });
    });
  });

  it('cannot be taken over by a change of its record', async () => {
    const { id } = await world.make({ usage: 'drop' });
    const change = (file: Parameters<typeof spec>[0], path: string, name: string) =>
      outcome(client.updateMetadata({ file: { ...file, id }, updateMask: { paths: [path] } }, as(name)));
    expect(await change({ name: 'renamed' }, 'name', 'bob')).toBe('ok');
    expect(await change({ owner: 'bob' }, 'owner', 'bob')).toBe('PERMISSION_DENIED');
    expect(await change({ usage: 'open' }, 'usage', 'bob')).toBe('PERMISSION_DENIED');
    expect(await outcome(client.getFile({ fileId: id }, as('bob')))).toBe('PERMISSION_DENIED');
    expect(await change({ owner: 'bob' }, 'owner', 'alice')).toBe('PERMISSION_DENIED');
    expect(await change({ usage: 'sealed' }, 'usage', 'alice')).toBe('PERMISSION_DENIED');
    expect(await change({ usage: 'open' }, 'usage', 'alice')).toBe('ok');
    expect(await outcome(client.getFile({ fileId: id }, as('bob')))).toBe('ok');
    expect(await change({ owner: 'bob' }, 'owner', 'the role write')).toBe('ok');
  });

  it('is open to those whom its usage policy names', async () => {
    const open = await world.make({ usage: 'open' });
    const team = await world.make({ usage: 'team', relations: { team: { ids: ['x', 'bob'] } } });
    const sealed = await world.make({ usage: 'sealed' });
    const get = (name: string, file: File) => outcome(client.getFile({ fileId: file.id }, as(name)));
    expect(await get('bob', open)).toBe('ok');
    expect(await get('bob', team)).toBe('ok');
    expect(await get('an almighty service for bob', team)).toBe('ok');
    expect(await get('a service without a role', team)).toBe('PERMISSION_DENIED');
    expect(await get('alice', sealed)).toBe('PERMISSION_DENIED');
    expect(await get('the role read', sealed)).toBe('ok');
    const { files } = await client.listFiles({ pageSize: 1000 }, as('bob'));
    const listed = files.map(({ id }) => id);
    expect(listed).toEqual(expect.arrayContaining([open.id, team.id]));
    expect(listed).not.toContain(sealed.id);
  });

  it('is not reached by a service account with the name of its owner, which has what its roles say', async () => {
    const exp = Math.floor(Date.now() / 1000) + 3_600;
    const account = async (scope: string) => {
      const token = await world.issuer.token({ sub: 'alice', azp: 'alice', scope, exp });
      return { headers: { authorization: `Bearer ${token}` } };
    };
    for (const scope of ['', 'asset:delete', 'asset:read']) {
      const by = await account(scope);
      const read = scope === 'asset:read' ? 'ok' : 'PERMISSION_DENIED';
      expect(await outcome(client.getFile({ fileId: shared.live }, by))).toBe(read);
      for (const owner of ['', 'alice']) {
        const sent = upload(client, content, { file: { owner }, ...by });
        expect(await outcome(sent)).toBe('PERMISSION_DENIED');
        const dropped = upload(client, content, { file: { owner, usage: 'drop' }, ...by });
        expect(await outcome(dropped)).toBe('PERMISSION_DENIED');
        const started = client.startUpload({ uploadSpec: { file: { owner } } }, by);
        expect(await outcome(started)).toBe('PERMISSION_DENIED');
      }
      const update = client.updateMetadata({ file: { id: shared.live, name: 'x' } }, by);
      expect(await outcome(update)).toBe('PERMISSION_DENIED');
      if (scope !== 'asset:read') expect((await client.listFiles({}, by)).files).toEqual([]);
    }
    const own = await upload(client, content, { file: {}, ...(await account('asset:write')) });
    expect(own.owner).toBe('');
  });

  it('gets only attachment URLs, with the lifetime that its usage permits', async () => {
    const { id } = await world.make({ usage: 'saved' });
    const inline = client.getFileUrl({ ...source(id), disposition: Disposition.INLINE }, as('alice'));
    expect(await failureOf(inline)).toMatchObject({
      code: 'INVALID_ARGUMENT',
      reason: 'DISPOSITION_NOT_ALLOWED',
    });
    for (const [asked, most] of [
      [1n, 60],
      [7_200n, 120],
      [undefined, 120],
    ] as const) {
      const before = Date.now() / 1000;
      const ttl = asked === undefined ? {} : { ttl: { seconds: asked } };
      const { expireTime } = await client.getFileUrl({ ...source(id), ...ttl }, as('alice'));
      const left = Number(expireTime!.seconds) - before;
      expect(left).toBeLessThanOrEqual(most);
      expect(left).toBeGreaterThan(most / 2 - 30);
    }
  });

  it('is read by its URL without any identity', async () => {
    const url = await urlOf(client, shared.live, {}, as('alice'));
    expect(Buffer.from(await (await fetch(url)).arrayBuffer()).equals(content)).toBe(true);
  });

  it('is not reached by a page token of somebody who sees it', async () => {
    const { nextPageToken } = await client.listFiles({ pageSize: 1 }, as(ADMIN));
    const { files } = await client.listFiles({ pageSize: 100, pageToken: nextPageToken }, as('bob'));
    expect(files.filter(({ owner, usage }) => owner !== 'bob' && usage === '')).toEqual([]);
  });

  it('is not shown by a request id of somebody else', async () => {
    const mine = await send(client, [{ ...spec({}, { requestId: 'same' }), finishWrite: true }], as('alice'));
    const other = await send(client, [{ ...spec({}, { requestId: 'same' }), finishWrite: true }], as('bob'));
    expect(other.id).not.toBe(mine.id);
  });
});

/** A file of which only the id is told. */
function toPlain(id: string) {
  const { $typeName: _type, ...plain } = create(FileSchema, { id });
  return plain;
}
