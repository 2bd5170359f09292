import { expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import type { FileCatalog } from '../../../src/catalog/file-catalog.ts';
import { createFile, getFile, newId, outcomes, plain } from './subject.ts';

/** The catalog's promises for files older than the service. */
export function legacyTests(catalog: () => FileCatalog): void {
  const bytes = { sizeBytes: 99, sha256: new Uint8Array(32).fill(9), crc32c: 4_000_000_000 };

  it('gives the fields of records by their own names', async () => {
    const { id } = await createFile(catalog(), { attributes: { note: 'a/b' } });
    const found = await catalog().legacy.fieldsOf([id, newId()]);
    expect([...found.keys()]).toEqual([id]);
    expect(found.get(id)).toMatchObject({ id: [id], note: ['a/b'] });
    expect(await catalog().legacy.fieldsOf([])).toEqual(new Map());
  });

  it('goes through all records by id, deleted ones too', async () => {
    const ids = await Promise.all([1, 2, 3].map(async () => (await createFile(catalog())).id));
    const deleted = await getFile(catalog(), ids[0]!);
    await catalog().update(deleted.id, deleted.revision, { deleteTime: new Date(), purgeTime: new Date() });
    const seen: string[] = [];
    for (let after = ''; ;) {
      const page = await catalog().legacy.scan(after, 2);
      seen.push(...page.map(({ file }) => file.id));
      expect(page.every(({ file, fields }) => fields['id']![0] === file.id)).toBe(true);
      if (page.length < 2) break;
      after = page.at(-1)!.file.id;
    }
    expect(seen).toEqual([...seen].sort());
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen).toEqual(expect.arrayContaining(ids));
  });

  it('writes down what the bytes of a file are, and empties a field, if nobody changed it meanwhile', async () => {
    const file = await createFile(catalog(), { attributes: { note: 'link', count: 7 } });
    const moved = await catalog().legacy.setBytes(file.id, file.revision, bytes, ['note']);
    expect(plain(await getFile(catalog(), file.id))).toEqual(plain(moved));
    expect(moved).toMatchObject({
      sizeBytes: 99,
      crc32c: 4_000_000_000,
      attributes: { count: 7 },
      name: file.name,
    });
    expect(moved.attributes).not.toHaveProperty('note');
    expect(Buffer.from(moved.sha256!).toString('hex')).toBe('09'.repeat(32));
    expect(moved.revision).not.toBe(file.revision);
    const again = [file.revision, moved.revision].map((revision) =>
      catalog().legacy.setBytes(file.id, revision, bytes, ['note']),
    );
    expect(await outcomes(again)).toEqual(['CONCURRENT_CHANGE', 'ok']);
    expect(await outcomes([catalog().legacy.setBytes(newId(), '1', bytes, [])])).toEqual(['FILE_NOT_FOUND']);
  });

  it('takes back what was written down, and restores a field, if nobody changed it meanwhile', async () => {
    const before = await createFile(catalog(), {
      ...{ attributes: { note: 'link', count: 7 }, sha256: undefined, crc32c: undefined },
    });
    const moved = await catalog().legacy.setBytes(before.id, before.revision, bytes, ['note']);
    const unset = (revision: string) =>
      catalog().legacy.unsetBytes(before.id, revision, before, { note: 'link' });
    expect(await outcomes([unset(before.revision)])).toEqual(['CONCURRENT_CHANGE']);
    const after = await unset(moved.revision);
    expect(plain(await getFile(catalog(), before.id))).toEqual(plain(after));
    const { revision, updateTime } = after;
    expect(plain(after)).toEqual(plain({ ...before, revision, updateTime }));
    expect(await outcomes([catalog().legacy.unsetBytes(newId(), '1', before, {})])).toEqual([
      'FILE_NOT_FOUND',
    ]);
  });

  it('completes the content type from the object, and otherwise keeps it', async () => {
    const file = await createFile(catalog(), { contentType: 'text/plain' });
    const contentType = 'text/plain; charset=iso-8859-1';
    const moved = await catalog().legacy.setBytes(file.id, file.revision, { ...bytes, contentType }, []);
    expect(moved.contentType).toBe(contentType);
    expect((await getFile(catalog(), file.id)).contentType).toBe(contentType);
    const again = await catalog().legacy.setBytes(file.id, moved.revision, bytes, []);
    expect(again.contentType).toBe(contentType);
  });

  it('adds up the uses of old paths, also of several replicas at once', async () => {
    const caller = `bff-${randomBytes(4).toString('hex')}`;
    const use = { caller, kind: 'api', day: '2026-11-29', count: 2 };
    const older = { ...use, day: '2026-11-28', count: 1 };
    await Promise.all([1, 2, 3, 4].map(() => catalog().legacy.addUses([use, older])));
    await catalog().legacy.addUses([]);
    const mine = (await catalog().legacy.listUses()).filter((one) => one.caller === caller);
    expect(mine).toEqual([
      { ...use, count: 8 },
      { ...older, count: 4 },
    ]);
  });

  it('remembers a value under a name, in place of the last', async () => {
    const name = `job-${randomBytes(4).toString('hex')}`;
    expect(await catalog().legacy.getState(name)).toBeUndefined();
    await catalog().legacy.putState(name, { cursor: 'a', counts: [1, 2] });
    await catalog().legacy.putState(name, { cursor: 'é"\\' });
    expect(await catalog().legacy.getState(name)).toEqual({ cursor: 'é"\\' });
  });
}
