import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomContent, upload, type AssetClient, type NewFile } from '../e2e/support/calls.ts';
import { failureOf } from '../e2e/support/failures.ts';
import { openHouse, type House } from './support/house.ts';

describe('metadata', () => {
  const projects = ['project0', 'project1'];
  let house: House;
  let client: AssetClient;

  beforeAll(async () => {
    house = await openHouse();
    client = house.client;
  });

  afterAll(() => house?.close());

  const described = (): NewFile => ({
    ...{ name: 'a.txt', contentType: 'text/plain', owner: 'ann', usage: 'note' },
    relations: { project: { ids: projects.slice(0, 2) } },
    attributes: { title: 'A', width: 1, extra: { deep: ['x', 1, true] } },
  });
  const make = () => upload(client, new TextEncoder().encode('hello'), { file: described() });

  async function update(file: NewFile, ...paths: string[]) {
    const updateMask = paths.length > 0 ? { updateMask: { paths } } : {};
    return (await client.updateMetadata({ file, ...updateMask })).file!;
  }

  it('changes what the mask names and nothing else', async () => {
    const file = await make();
    const { id } = file;
    const given = { id, name: 'b.txt', owner: 'bob', usage: 'other', attributes: { title: 'B', width: 9 } };
    const changed = await update(given, 'name', 'attributes.title');
    expect(changed).toMatchObject({ name: 'b.txt', owner: 'ann', usage: 'note', relations: file.relations });
    expect(changed.attributes).toEqual({ ...file.attributes, title: 'B' });
    expect(changed.etag).not.toBe(file.etag);
    expect(changed.createTime).toEqual(file.createTime);
    expect(changed.checksums).toEqual(file.checksums);
    expect((await client.getFile({ fileId: id })).file).toEqual(changed);
  });

  it('changes every field that is not empty where there is no mask', async () => {
    const { id, attributes } = await make();
    const changed = await update({ id, owner: 'bob' });
    expect(changed).toMatchObject({ name: 'a.txt', owner: 'bob', usage: 'note', attributes: attributes! });
  });

  it('clears what the mask names and the file leaves empty', async () => {
    const { id } = await make();
    const changed = await update(
      { id },
      'owner',
      'relations.project',
      'attributes.title',
      'attributes.extra',
    );
    expect(changed).toMatchObject({ name: 'a.txt', owner: '', relations: {} });
    expect(changed.attributes).toEqual({ width: 1 });
    const blank = await update({ id }, 'name', 'usage', 'attributes', 'relations');
    expect([blank.name, blank.usage]).toEqual(['', '']);
    expect(blank.attributes ?? {}).toEqual({});
  });

  it('replaces all writable fields with *', async () => {
    const { id } = await make();
    const changed = await update({ id, name: 'only', contentType: 'text/plain' }, '*');
    expect(changed).toMatchObject({ name: 'only', owner: '', usage: '', relations: {} });
    expect(changed.attributes ?? {}).toEqual({});
  });

  it('replaces relations and attributes as a whole or one by one', async () => {
    const { id } = await make();
    const ids = [projects[1]!];
    const one = await update({ id, relations: { project: { ids } } }, 'relations.project');
    expect(one.relations['project']?.ids).toEqual(ids);
    const whole = await update({ id, attributes: { title: 'new' } }, 'attributes');
    expect(whole.attributes).toEqual({ title: 'new' });
  });

  it.each([
    ['size_bytes', 'FIELD_NOT_WRITABLE'],
    ['checksums', 'FIELD_NOT_WRITABLE'],
    ['checksums.sha256', 'FIELD_NOT_WRITABLE'],
    ['id', 'FIELD_NOT_WRITABLE'],
    ['etag', 'FIELD_NOT_WRITABLE'],
    ['create_time', 'FIELD_NOT_WRITABLE'],
    ['delete_time', 'FIELD_NOT_WRITABLE'],
    ['created_by', 'FIELD_NOT_WRITABLE'],
    ['nonsense', 'FIELD_UNKNOWN'],
    ['relations.', 'FIELD_UNKNOWN'],
    ['name.first', 'FIELD_UNKNOWN'],
  ])('refuses to change %s', async (path, reason) => {
    const file = await make();
    const failure = await failureOf(update({ id: file.id, name: 'x' }, 'name', path));
    expect(failure).toMatchObject({ code: 'INVALID_ARGUMENT', reason, metadata: { field: path } });
    expect((await client.getFile({ fileId: file.id })).file).toEqual(file);
  });

  it('resolves names that JSON changed by those in file', async () => {
    const { id } = await make();
    const name = 'pageCount';
    const call = async (file: object, updateMask: string) => {
      const answer = await fetch(`${house.url}/asset.v1.AssetService/UpdateMetadata`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ file: { id, ...file }, updateMask }),
      });
      return { status: answer.status, body: await answer.text() };
    };
    const set = await call({ attributes: { [name]: 'seven' } }, `attributes.${name}`);
    expect(set).toMatchObject({ status: 200, body: expect.stringContaining(`"${name}":"seven"`) });
    expect((await client.getFile({ fileId: id })).file!.attributes).toMatchObject({ [name]: 'seven' });
    for (const mask of ['attributes.pageNumber', 'relations.project.ids.x', 'relations.taskOwner']) {
      const refused = await call({ attributes: { [name]: 'eight' } }, mask);
      expect(refused).toMatchObject({ status: 400, body: expect.stringContaining('FIELD_UNKNOWN') });
    }
    const cleared = await call({}, `attributes.${name}`);
    expect(cleared).toMatchObject({ status: 200, body: expect.not.stringContaining(name) });
  });

  it('refuses a type that the bytes contradict', async () => {
    const png = Buffer.from('89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489', 'hex');
    const file = await upload(client, new Uint8Array(png));
    expect(file.contentType).toBe('image/png');
    const failure = await failureOf(update({ id: file.id, contentType: 'image/jpeg' }, 'content_type'));
    expect(failure).toMatchObject({ reason: 'CONTENT_TYPE_MISMATCH' });
    const unset = await failureOf(update({ id: file.id, contentType: 'nonsense' }, 'content_type'));
    expect(unset).toMatchObject({ reason: 'FIELD_INVALID', fields: ['file.content_type'] });
  });

  it('detects the type again where the mask clears it', async () => {
    const { id } = await make();
    expect((await update({ id }, 'content_type')).contentType).toBe('text/plain');
  });

  it('refuses an etag that is not current', async () => {
    const file = await make();
    const changed = await update({ id: file.id, etag: file.etag, name: 'one' });
    const failure = await failureOf(update({ id: file.id, etag: file.etag, name: 'two' }));
    expect(failure).toMatchObject({
      code: 'ABORTED',
      reason: 'ETAG_MISMATCH',
      metadata: { file_id: file.id },
    });
    expect((await update({ id: file.id, etag: changed.etag, name: 'three' })).name).toBe('three');
  });

  it('lets one of twenty writers win, and tells the others', async () => {
    const { id, etag } = await make();
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) =>
        client.updateMetadata({ file: { id, etag, name: `writer ${i}` } }),
      ),
    );
    const won = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value.file!] : []));
    expect(won).toHaveLength(1);
    for (const result of results) {
      if (result.status === 'fulfilled') continue;
      const failure = await failureOf(Promise.reject(result.reason as Error));
      expect(failure.code).toBe('ABORTED');
      expect(['ETAG_MISMATCH', 'CONCURRENT_CHANGE']).toContain(failure.reason);
    }
    expect((await client.getFile({ fileId: id })).file).toEqual(won[0]);
  });

  it('loses no change of twenty writers that repeat theirs', async () => {
    const { id } = await make();
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        for (;;) {
          const { file } = await client.getFile({ fileId: id });
          const width = Number(file!.attributes!['width']) + 1;
          const change = { id, etag: file!.etag, attributes: { width } };
          const updateMask = { paths: ['attributes.width'] };
          const done = await client
            .updateMetadata({ file: change, updateMask })
            .catch(async (error: Error) => {
              expect((await failureOf(Promise.reject(error))).code).toBe('ABORTED');
            });
          if (done) return;
        }
      }),
    );
    expect((await client.getFile({ fileId: id })).file!.attributes!['width']).toBe(21);
  });

  it('refuses to change what is not there', async () => {
    expect(await failureOf(update({ id: 'missing00000000', name: 'x' }))).toMatchObject({
      ...{ code: 'NOT_FOUND', reason: 'FILE_NOT_FOUND' },
    });
    expect(await failureOf(client.updateMetadata({}))).toMatchObject({ reason: 'FIELD_INVALID' });
    const noId = await failureOf(update({ name: 'x' }));
    expect(['FIELD_INVALID', 'FILE_NOT_FOUND']).toContain(noId.reason);
  });

  it.each([
    ['a name with a line break', { name: 'a\nb' }, 'upload_spec.file.name'],
    ['a name of 1025 bytes', { name: 'ü'.repeat(513) }, 'upload_spec.file.name'],
    ['an owner of 256 characters', { owner: 'x'.repeat(256) }, 'upload_spec.file.owner'],
    [
      'a relation of a bad name',
      { relations: { 'a b': { ids: ['x'] } } },
      'upload_spec.file.relations["a b"]',
    ],
    [
      'a relation that names a target twice',
      { relations: { project: { ids: ['x', 'x'] } } },
      'upload_spec.file.relations["project"].ids',
    ],
  ])('refuses %s', async (_, file, field) => {
    const failure = await failureOf(upload(client, randomContent(1), { file }));
    expect(failure).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID', fields: [field] });
  });

  it('refuses attributes of more than 64 KiB', async () => {
    const failure = await failureOf(
      upload(client, randomContent(1), { file: { attributes: { title: 'x'.repeat(65_536) } } }),
    );
    expect(failure).toMatchObject({ code: 'INVALID_ARGUMENT', reason: 'ATTRIBUTE_INVALID' });
  });

  it('measures 64 KiB of attributes in bytes, whatever a change leaves of them', async () => {
    const refused = { code: 'INVALID_ARGUMENT', reason: 'ATTRIBUTE_INVALID' };
    const kanji = { title: '漢'.repeat(30_000) };
    expect(await failureOf(upload(client, randomContent(1), { file: { attributes: kanji } }))).toMatchObject(
      refused,
    );
    const { id } = await upload(client, randomContent(1), {
      file: { attributes: { extra: '漢'.repeat(15_000) } },
    });
    const more = { id, attributes: { title: '漢'.repeat(15_000) } };
    expect(await failureOf(update(more, 'attributes.title'))).toMatchObject(refused);
  });

  it.each([
    ['"><script>', '"><script>'],
    ["Robert'); drop table files;--", "Robert'); drop table files;--"],
    ['\u202Egnp.exe', 'gnp.exe'],
    [' Gru\u0308\u00dfe\u200b ', 'Gr\u00fc\u00dfe'],
  ])('keeps the name %j as %j', async (name, kept) => {
    const { id } = await upload(client, randomContent(1), { file: { name } });
    expect((await client.getFile({ fileId: id })).file!.name).toBe(kept);
    await client.updateMetadata({ file: { id, name: 'other' }, updateMask: { paths: ['name'] } });
    const { file } = await client.updateMetadata({ file: { id, name }, updateMask: { paths: ['name'] } });
    expect(file!.name).toBe(kept);
    const { uploadId } = await client.startUpload({ uploadSpec: { file: { name } } });
    const { writeStatus } = await client.uploadChunk({ uploadId, finishWrite: true });
    expect(writeStatus).toMatchObject({ case: 'file', value: { name: kept } });
  });

  it.each(['../../etc/passwd', 'a\\b', 'a\r\nb', 'a\u0085b', ' ', '.', '\u202e', 'x'.repeat(256)])(
    'refuses the name %j',
    async (name) => {
      const refused = { code: 'INVALID_ARGUMENT', reason: 'FIELD_INVALID' };
      const field = [expect.stringMatching(/^(upload_spec\.)?file\.name$/)];
      const told = { ...refused, fields: name.includes('\r') ? expect.anything() : field };
      expect(await failureOf(upload(client, randomContent(1), { file: { name } }))).toMatchObject(told);
      expect(await failureOf(client.startUpload({ uploadSpec: { file: { name } } }))).toMatchObject(told);
      const { id } = await upload(client, randomContent(1), { file: { name: 'good' } });
      const update = { file: { id, name }, updateMask: { paths: ['name'] } };
      expect(await failureOf(client.updateMetadata(update))).toMatchObject(told);
      expect((await client.getFile({ fileId: id })).file!.name).toBe('good');
    },
  );

  it.each(["x' or '1'='1", '../../files', '%', '" || id != "'])(
    'finds no file by the id %j',
    async (fileId) => {
      await make();
      const failure = await failureOf(client.getFile({ fileId }));
      expect(failure).toMatchObject({
        code: 'NOT_FOUND',
        reason: 'FILE_NOT_FOUND',
        metadata: { file_id: fileId },
      });
      const { files, missingFileIds } = await client.batchGetFiles({ fileIds: [fileId] });
      expect([files, missingFileIds]).toEqual([[], [fileId]]);
    },
  );
});
