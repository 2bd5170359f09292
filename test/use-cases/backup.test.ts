import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { openSqliteCatalog } from '../../src/catalog/sql/sqlite.ts';
import { blobKey } from '../../src/files/bytes.ts';
import { sweep } from '../../src/files/sweep/sweep.ts';
import { backup, type BackupOptions, type BackupProgress } from '../../src/move/backup/backup.ts';
import { BackupPlace } from '../../src/move/backup/place.ts';
import { restore, type RestoreOptions } from '../../src/move/backup/restore.ts';
import type { BlobStore } from '../../src/storage/blob-store.ts';
import { FilesystemBlobStore } from '../../src/storage/filesystem/filesystem-store.ts';
import { MemoryBudget } from '../../src/storage/memory-budget.ts';
import { SignedUrls } from '../../src/storage/signed-url.ts';
import { newId } from '../conformance/file-catalog/subject.ts';
import { addFile, contentOf, putBytes, type StoreAndCatalog } from '../support/backups.ts';
import { makeDir, removeDir } from '../support/process.ts';

const OPEN = new AbortController().signal;
const PAST = new Date(Date.now() - 60_000);

describe('a backup', () => {
  let dir: string;
  let place: BackupPlace;
  let from: StoreAndCatalog;
  let opened: StoreAndCatalog[];

  beforeEach(async () => {
    dir = await makeDir('backup');
    opened = [];
    place = new BackupPlace(openStore('place'), 'some/prefix/');
    from = await openPair('from');
  });

  afterEach(async () => {
    for (const { catalog } of opened) await catalog.close();
    await removeDir(dir);
  });

  function openStore(name: string): BlobStore {
    return new FilesystemBlobStore(join(dir, name), new SignedUrls('http://x', Buffer.alloc(32)));
  }

  /** A store and a catalog with a schema and nothing in it. */
  async function openPair(name: string): Promise<StoreAndCatalog> {
    const store = openStore(name);
    const pair = { store, catalog: openSqliteCatalog({ path: join(dir, name, 'catalog.sqlite') }) };
    await pair.catalog.migrate();
    opened.push(pair);
    return pair;
  }

  const partsOf = (pair: StoreAndCatalog) => ({
    ...{ ...pair, place, budget: new MemoryBudget(16 * 2 ** 20).of(''), partSizeBytes: 2 ** 20 },
  });
  const make = (options: Partial<BackupOptions> = {}, signal = OPEN) =>
    backup(partsOf(from), { full: false, ...options }, signal);
  const restoreTo = (pair: StoreAndCatalog, options: RestoreOptions = {}, signal = OPEN) =>
    restore(partsOf(pair), options, signal);

  async function remove({ catalog }: StoreAndCatalog, id: string, purgeTime: Date): Promise<string> {
    const file = (await catalog.get([id])).get(id)!;
    return (await catalog.update(id, file.revision, { deleteTime: PAST, purgeTime })).revision;
  }

  /** Calls `work` once, at the first progress of this phase. */
  function once(phase: BackupProgress['phase'], work: () => void): Pick<BackupOptions, 'onProgress'> {
    let isDone = false;
    return {
      onProgress(progress) {
        if (isDone || progress.phase !== phase) return;
        isDone = true;
        work();
      },
    };
  }

  /** Ends a run like a kill, at the first progress of this phase. */
  async function killedAt(
    phase: BackupProgress['phase'],
    options: Partial<BackupOptions> = {},
  ): Promise<void> {
    const killed = new AbortController();
    const { onProgress } = once(phase, () => killed.abort(new Error('killed')));
    await expect(make({ ...options, onProgress: onProgress! }, killed.signal)).rejects.toThrow('killed');
  }

  it('has every field and byte of every file, and is restored and proven file by file', async () => {
    await addFile(from, '', { owner: '', usage: '' });
    await addFile(from, randomBytes(3 * 2 ** 20 + 1), {}, newId());
    await addFile(from, 'same bytes');
    await addFile(from, 'same bytes', {
      ...{
        relations: { project: ['p1'], tags: ['b', 'a'] },
        attributes: { title: 'x', nested: [1, { a: null }] },
      },
    });
    const { id } = await addFile(from, 'deleted');
    await remove(from, id, new Date(Date.now() + 86_400_000));
    await addFile(from, 'not moved', { sha256: undefined, crc32c: undefined });
    const { manifest, copied } = await make();
    expect(manifest).toMatchObject({ kind: 'full', files: 6, deleted: 1, notMoved: 1, damagedCount: 0 });
    // Two files share their bytes. Those of the file that was not moved are elsewhere.
    expect(copied).toBe(4);
    const before = Object.values(await contentOf(from));

    const to = await openPair('to');
    const state = await restoreTo(to);
    expect(state).toMatchObject({ state: 'done', records: 6, proven: 5, notMoved: 1, damagedCount: 0 });
    const unmoved = { ...before.find((file) => 'sha256' in file && file.sha256 === null), bytes: 'missing' };
    const expected = before.map((file) => ('sha256' in file && file.sha256 === null ? unmoved : file));
    expect(Object.values(await contentOf(to))).toEqual(expected);
    // It was done already.
    expect(await restoreTo(to)).toMatchObject({ state: 'done', endTime: state.endTime });
  });

  it('is one state although files change while they are copied', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 12; i++) ids.push((await addFile(from)).id);
    ids.sort();
    const change = async () => {
      const { catalog } = from;
      const first = (await catalog.get([ids[0]!])).get(ids[0]!)!;
      await catalog.update(first.id, first.revision, { name: 'changed later' });
      await catalog.purge(ids[1]!, await remove(from, ids[1]!, PAST));
      await catalog.purge(ids.at(-1)!, await remove(from, ids.at(-1)!, PAST));
      await from.store.delete(blobKey(ids.at(-1)!));
      for (let i = 0; i < 6; i++) await addFile(from, `new ${i}`, {}, newId());
    };
    let changing: Promise<void> | undefined;
    const slow = new Proxy(from.catalog, {
      // The catalog gives no second page before the changes are made.
      get: (catalog, name) => {
        const value: unknown = Reflect.get(catalog, name, catalog);
        if (name === 'exportFiles')
          return async (...args: Parameters<typeof catalog.exportFiles>) => {
            await changing;
            return catalog.exportFiles(...args);
          };
        return typeof value === 'function' ? (value.bind(catalog) as unknown) : value;
      },
    });
    const { manifest } = await backup(
      { ...partsOf(from), catalog: slow },
      { full: false, pageSize: 5, ...once('files', () => (changing = change())) },
      OPEN,
    );
    expect(manifest).toMatchObject({ files: 16, damagedCount: 0 });
    const to = await openPair('to');
    expect(await restoreTo(to)).toMatchObject({ proven: 16 });
    expect(await contentOf(to)).toEqual(await contentOf(from));
  });

  it('copies only what changed since the last one, each of which can be restored', async () => {
    const [changed, purged] = [await addFile(from, 'one', {}, newId()), await addFile(from, 'two')];
    const first = await make();
    const stateOfFirst = await contentOf(from);
    await from.catalog.update(changed.id, changed.revision, { name: 'another name' });
    await from.catalog.purge(purged.id, await remove(from, purged.id, PAST));
    await addFile(from, 'three', {}, newId());
    const second = await make();
    expect(second).toMatchObject({ copied: 1, copiedBytes: 5, whyFull: '' });
    expect(second.manifest).toMatchObject({ kind: 'incremental', base: first.manifest.name, files: 2 });
    // Without any change.
    const third = await make();
    expect(third.manifest).toMatchObject({ kind: 'incremental', files: 2, changes: second.manifest.changes });
    const [last, earlier] = [await openPair('last'), await openPair('earlier')];
    await restoreTo(last);
    expect(await contentOf(last)).toEqual(await contentOf(from));
    await restoreTo(earlier, { backup: first.manifest.name });
    expect(await contentOf(earlier)).toEqual(stateOfFirst);
    expect((await make({ full: true })).manifest).toMatchObject({ kind: 'full', files: 2 });
  });

  it('reads everything again if the change log was trimmed meanwhile, and copies no bytes twice', async () => {
    for (let i = 0; i < 3; i++) await addFile(from);
    await make();
    for (let i = 0; i < 3; i++) await addFile(from);
    await from.catalog.changes.trim(new Date(Date.now() + 1_000), 1_000);
    const { manifest, copied, whyFull } = await make();
    expect(manifest).toMatchObject({ kind: 'full', files: 6 });
    expect([copied, whyFull]).toEqual([3, expect.stringContaining('the change log no longer has')]);
  });

  it.each(['files', 'changes', 'summary'] as const)('goes on after a kill during %s', async (phase) => {
    for (let i = 0; i < 9; i++) await addFile(from, `file ${i}`, {}, newId());
    const isLate = phase !== 'files';
    const adding: Promise<unknown>[] = [];
    const killed = new AbortController();
    const onProgress = (progress: BackupProgress) => {
      if (progress.phase === 'files' && isLate && adding.length === 0) adding.push(addFile(from, 'late'));
      if (progress.phase === phase) killed.abort(new Error('killed'));
    };
    await expect(make({ pageSize: 4, onProgress }, killed.signal)).rejects.toThrow('killed');
    await Promise.all(adding);
    expect(await place.finished(OPEN)).toEqual([]);
    await addFile(from, 'after the kill', {}, newId());
    const there = (await readdir(join(dir, 'place'), { recursive: true })).filter((name) =>
      /[0-9a-f]{64}~$/.test(name),
    );
    const { manifest, copied, resumedFrom } = await make({ pageSize: 4 });
    expect(resumedFrom).toBe(manifest.startTime);
    expect(copied).toBe(manifest.files - there.length);
    const to = await openPair('to');
    await restoreTo(to);
    expect(await contentOf(to)).toEqual(await contentOf(from));
    expect(await place.unfinished(OPEN)).toEqual([]);
  });

  it('is restored to the end after a kill', async () => {
    for (let i = 0; i < 9; i++) await addFile(from);
    await make({ pageSize: 3 });
    const to = await openPair('to');
    const killed = new AbortController();
    const onProgress = ({ records }: { readonly records: number }) => {
      if (records > 0) killed.abort(new Error('killed'));
    };
    await expect(restoreTo(to, { onProgress }, killed.signal)).rejects.toThrow('killed');
    // What a kill left of the next file is not trusted.
    const all = Object.keys(await contentOf(from)).toSorted();
    const next = all[Object.keys(await contentOf(to)).length]!;
    await putBytes(to.store, next, Buffer.from('half'));
    // A later backup does not change which one is restored.
    await addFile(from);
    await make();
    expect(await restoreTo(to)).toMatchObject({ state: 'done', records: 9, proven: 9, resumedFrom: all[2] });
    expect(Object.keys(await contentOf(to)).toSorted()).toEqual(all);
  });

  it('holds back purges while it runs', async () => {
    const { id } = await addFile(from);
    await remove(from, id, PAST);
    const run = () => sweep({ ...from, log: pino({ level: 'silent' }) }, OPEN, () => Promise.resolve());
    let swept: ReturnType<typeof run> | undefined;
    let release: () => void = () => undefined;
    const waiting = new Promise<void>((resolve) => (release = resolve));
    const lazy = new Proxy(from.store, {
      get: (store, name) => {
        const value: unknown = Reflect.get(store, name, store);
        if (name === 'read')
          return async (...args: Parameters<BlobStore['read']>) => {
            swept = run();
            await swept.finally(release);
            return store.read(...args);
          };
        return typeof value === 'function' ? (value.bind(store) as unknown) : value;
      },
    });
    const { manifest } = await backup({ ...partsOf(from), store: lazy }, { full: false }, OPEN);
    await waiting;
    expect((await swept!).purged).toBe(0);
    expect(manifest).toMatchObject({ files: 1, deleted: 1, damagedCount: 0 });
    expect((await run()).purged).toBe(1);
    const to = await openPair('to');
    expect(await restoreTo(to)).toMatchObject({ proven: 1 });
  });

  it('names damaged files, has all others, and reads them again the next time', async () => {
    const damaged = [
      await addFile(from, 'missing'),
      await addFile(from, 'changed'),
      await addFile(from, 'longer'),
    ];
    await addFile(from, 'whole');
    await from.store.delete(blobKey(damaged[0]!.id));
    await putBytes(from.store, damaged[1]!.id, Buffer.from('CHANGED'));
    await putBytes(from.store, damaged[2]!.id, Buffer.from('longer than it was'));
    const reasons = ['missing', 'sha256', 'size'].map((reason, at) => ({ id: damaged[at]!.id, reason }));
    const { manifest } = await make();
    expect(manifest).toMatchObject({ files: 4, damagedCount: 3 });
    expect(new Set(manifest.damaged)).toEqual(new Set(reasons));
    const to = await openPair('to');
    const state = await restoreTo(to);
    expect(state).toMatchObject({ records: 4, proven: 1, damagedCount: 3 });
    expect(new Set(state.damaged)).toEqual(new Set(reasons));
    for (const [at, text] of ['missing', 'changed', 'longer'].entries())
      await putBytes(from.store, damaged[at]!.id, Buffer.from(text));
    const again = await make();
    expect(again).toMatchObject({ copied: 3, whyFull: expect.stringContaining('damaged') });
    expect(again.manifest).toMatchObject({ kind: 'full', damagedCount: 0 });
  });

  it('is restored as far as its bytes are there, and names the others', async () => {
    const [missing, changed] = [await addFile(from, 'missing'), await addFile(from, 'changed')];
    await addFile(from, 'whole');
    await make();
    await place.store.delete(place.bytesKey(missing.sha256!));
    const key = place.bytesKey(changed.sha256!);
    await place.store.delete(key);
    const body = { sizeBytes: 7, chunks: [Buffer.from('CHANGED')] };
    await place.store.put(key, body, { contentType: 'text/plain' });
    const to = await openPair('to');
    const { damaged, ...state } = await restoreTo(to);
    expect(state).toMatchObject({ state: 'done', records: 3, proven: 1, damagedCount: 2 });
    expect(new Map(damaged.map(({ id, reason }) => [id, reason]))).toEqual(
      new Map([
        [missing.id, 'missing'],
        [changed.id, 'sha256'],
      ]),
    );
    for (const { id } of [missing, changed]) expect(await to.store.stat(blobKey(id))).toBeUndefined();
  });

  it('is refused, by name, where something is in the way, and where it does not exist', async () => {
    await expect(restoreTo(await openPair('a'))).rejects.toThrow('no finished backup');
    const { id } = await addFile(from);
    await killedAt('summary');
    await expect(restoreTo(await openPair('b'))).rejects.toThrow('no finished backup');
    const { name } = (await make()).manifest;
    await expect(restoreTo(from)).rejects.toThrow(`the catalog (sqlite) is not empty: it has the file ${id}`);
    const to = await openPair('c');
    await putBytes(to.store, id, Buffer.from('x'));
    await expect(restoreTo(to)).rejects.toThrow(`the store (filesystem) is not empty: it has ${blobKey(id)}`);
    await expect(restoreTo(to, { backup: 'other' })).rejects.toThrow(
      `no finished backup other; there are: ${name}`,
    );
    expect(await to.catalog.exportFiles('', 1)).toEqual([]);
  });

  it('is not restored from a page that was changed', async () => {
    await addFile(from);
    const { manifest } = await make();
    const key = `some/prefix/${manifest.records[0]!.key}`;
    await place.store.delete(key);
    await place.store.put(key, { sizeBytes: 1, chunks: [Buffer.from('\n')] }, { contentType: 'text/plain' });
    await expect(restoreTo(await openPair('to'))).rejects.toThrow(
      `${manifest.records[0]!.key} of the backup is damaged`,
    );
  });
});
