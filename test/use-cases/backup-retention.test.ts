import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { buffer } from 'node:stream/consumers';
import { blobKey } from '../../src/files/bytes.ts';
import { filesOf } from '../../src/move/backup/entries.ts';
import type { BackupPlace } from '../../src/move/backup/place.ts';
import { pruneBackups } from '../../src/move/backup/prune.ts';
import { newId } from '../conformance/file-catalog/subject.ts';
import { addFile, contentOf, type StoreAndCatalog } from '../support/backups.ts';
import { Backups, OPEN, PAST } from './support/backups.ts';

describe('backups of one place', () => {
  let backups: Backups;
  let from: StoreAndCatalog;
  let place: BackupPlace;

  beforeEach(async () => {
    backups = await Backups.open();
    ({ from, place } = backups);
  });
  afterEach(() => backups.close());

  const prune = (keep: number) => pruneBackups({ place, catalog: from.catalog }, keep, () => undefined, OPEN);

  async function keys(): Promise<string[]> {
    const found = await place.store.listBlobs({ prefix: 'some/prefix/', limit: 1_000 });
    return found.map(({ key }) => key);
  }

  it('are removed down to the latest, without what a kept one needs', async () => {
    const [kept, purged] = [await addFile(from, 'kept', {}, newId()), await addFile(from, 'purged')];
    const full = (await backups.make()).manifest;
    await from.catalog.purge(purged.id, await backups.remove(purged.id, PAST));
    await addFile(from, 'second');
    const second = (await backups.make()).manifest;
    const stateOfSecond = await contentOf(from);
    await from.catalog.update(kept.id, kept.revision, { name: 'other' });
    const third = (await backups.make()).manifest;

    // The increments need the pages of the full backup, and nobody needs the bytes of what was purged since.
    expect(await prune(2)).toEqual({ removed: [full.name], pages: 0, blobs: 1, blobBytes: 6 });
    expect(await place.finished(OPEN)).toEqual([second.name, third.name]);
    const [one, two] = [await backups.openEmpty('one'), await backups.openEmpty('two')];
    expect(await backups.restoreTo(one, { backup: second.name })).toMatchObject({ proven: 2 });
    expect(await contentOf(one)).toEqual(stateOfSecond);
    await backups.restoreTo(two);
    expect(await contentOf(two)).toEqual(await contentOf(from));
    expect(await prune(2)).toEqual({ removed: [], pages: 0, blobs: 0, blobBytes: 0 });

    // A full one ends the chain.
    const last = (await backups.make({ full: true })).manifest;
    expect(await prune(1)).toMatchObject({ removed: [second.name, third.name], blobs: 0 });
    const pages = [...last.records, ...last.changes].map(({ key }) => `some/prefix/${key}`);
    expect((await keys()).filter((key) => key.endsWith('.jsonl')).sort()).toEqual(pages.sort());
    const three = await backups.openEmpty('three');
    await backups.restoreTo(three);
    expect(await contentOf(three)).toEqual(await contentOf(from));
    // The next one goes on from it.
    await addFile(from, 'later');
    expect((await backups.make()).manifest).toMatchObject({ kind: 'incremental', base: last.name, files: 3 });
  });

  it('keep their bytes while a page of a kept one is damaged, or another backup runs', async () => {
    const first = await addFile(from, 'first');
    await backups.make();
    await from.catalog.purge(first.id, await backups.remove(first.id, PAST));
    await addFile(from, 'second');
    const { records } = (await backups.make({ full: true })).manifest;
    await addFile(from, 'third');
    await backups.makeKilledAt('changes');
    const before = await keys();
    expect(await prune(1)).toMatchObject({ blobs: 0 });
    expect((await keys()).filter((key) => key.includes('/bytes/'))).toEqual(
      before.filter((key) => key.includes('/bytes/')),
    );
    expect((await place.unfinished(OPEN)).length).toBe(1);
    // What the killed one has is used by its next run.
    await backups.make();
    const page = `some/prefix/${records[0]!.key}`;
    await place.store.delete(page);
    await place.store.put(page, { sizeBytes: 1, chunks: [Buffer.from('\n')] }, { contentType: 'text/plain' });
    const now = await keys();
    await expect(prune(1)).rejects.toThrow('is damaged');
    expect(await keys()).toEqual(now);
  });

  it('give the same files in the same order, however few of the changes are held in memory', async () => {
    const files = [];
    for (let i = 0; i < 30; i++) files.push(await addFile(from, `file ${i}`, {}, newId()));
    await backups.make({ pageSize: 7 });
    for (const [at, file] of files.entries()) {
      if (at % 3 === 0) await from.catalog.update(file.id, file.revision, { name: `new ${at}` });
      if (at % 5 === 1) await from.catalog.purge(file.id, await backups.remove(file.id, PAST));
    }
    for (let i = 0; i < 12; i++) await addFile(from, `later ${i}`, {}, newId());
    const { manifest } = await backups.make({ pageSize: 7 });
    const read = async (held?: number) => {
      const pages = [];
      for await (const page of filesOf(place, manifest, OPEN, held)) pages.push(...page);
      return pages;
    };
    const all = await read();
    expect(all.map(({ record }) => record.id)).toEqual(Object.keys(await contentOf(from)).sort());
    for (const held of [1, 2, 5, 26]) expect(await read(held)).toEqual(all);
  });

  it('have the headers of moved old files, and give them back, also to and from a directory', async () => {
    const { file, headers } = { file: await addFile(from, 'gzip'), headers: { contentEncoding: 'gzip' } };
    const properties = { contentType: 'text/html', headers: { ...headers, metadata: { a: 'b' } } };
    await addFile(from, 'plain');
    // As the reader of an S3 tells them.
    const stat = (key: string) =>
      Promise.resolve({
        ...{ sizeBytes: 4, etag: '', contentType: 'text/html' },
        headers: key === blobKey(file.id) ? properties.headers : {},
      });
    await backups.make({}, OPEN, [{ stat }]);
    const directory = await backups.openEmpty('directory');
    expect(await backups.restoreTo(directory)).toMatchObject({ proven: 2, headersLost: 0 });
    expect((await buffer(await directory.store.read(blobKey(file.id)))).toString()).toBe('gzip');
    expect(await directory.store.headersOf(blobKey(file.id))).toEqual(properties.headers);
    // A store without headers counts what it loses.
    const to = await backups.openEmpty('to');
    const losing = new Proxy(to.store, {
      get(store, name) {
        const value: unknown = Reflect.get(store, name, store);
        if (name === 'keepsHeaders') return false;
        return typeof value === 'function' ? (value.bind(store) as unknown) : value;
      },
    });
    expect(await backups.restoreTo({ ...to, store: losing })).toMatchObject({ proven: 2, headersLost: 1 });
  });

  it('have the headers that a directory keeps', async () => {
    const file = await addFile(from, 'gzip');
    const headers = { contentEncoding: 'gzip', metadata: { a: 'b' } };
    await from.store.delete(blobKey(file.id));
    const body = { sizeBytes: 4, chunks: [Buffer.from('gzip')] };
    await from.store.put(blobKey(file.id), body, { contentType: 'text/plain', headers });
    await backups.make();
    const to = await backups.openEmpty('to');
    expect(await backups.restoreTo(to)).toMatchObject({ proven: 1 });
    expect(await to.store.headersOf(blobKey(file.id))).toEqual(headers);
  });
});
