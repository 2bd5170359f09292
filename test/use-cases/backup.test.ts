import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { blobKey } from '../../src/files/bytes.ts';
import { sweep } from '../../src/files/sweep/sweep.ts';
import { backup, type BackupProgress } from '../../src/move/backup/backup.ts';
import type { BackupPlace } from '../../src/move/backup/place.ts';
import { newId } from '../conformance/file-catalog/subject.ts';
import { addFile, contentOf, putBytes, type StoreAndCatalog } from '../support/backups.ts';
import { Backups, delayed, OPEN, PAST } from './support/backups.ts';

describe('a backup', () => {
  let backups: Backups;
  let from: StoreAndCatalog;
  let place: BackupPlace;

  beforeEach(async () => {
    backups = await Backups.open();
    ({ from, place } = backups);
  });
  afterEach(() => backups.close());

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
    await backups.remove(id, new Date(Date.now() + 86_400_000));
    await addFile(from, 'not moved', { sha256: undefined, crc32c: undefined });
    const { manifest, copied } = await backups.make();
    expect(manifest).toMatchObject({ kind: 'full', files: 6, deleted: 1, notMoved: 1, damagedCount: 0 });
    // Two files share their bytes. Those of the file that was not moved are elsewhere.
    expect(copied).toBe(4);
    const before = Object.values(await contentOf(from));

    const to = await backups.openEmpty('to');
    const state = await backups.restoreTo(to);
    expect(state).toMatchObject({ state: 'done', records: 6, proven: 5, notMoved: 1, damagedCount: 0 });
    const unmoved = { ...before.find((file) => 'sha256' in file && file.sha256 === null), bytes: 'missing' };
    const expected = before.map((file) => ('sha256' in file && file.sha256 === null ? unmoved : file));
    expect(Object.values(await contentOf(to))).toEqual(expected);
    // It was done already.
    expect(await backups.restoreTo(to)).toMatchObject({ state: 'done', endTime: state.endTime });
  });

  it('is one state although files change while they are copied', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 12; i++) ids.push((await addFile(from)).id);
    ids.sort();
    const change = async () => {
      const { catalog } = from;
      const first = (await catalog.get([ids[0]!])).get(ids[0]!)!;
      await catalog.update(first.id, first.revision, { name: 'changed later' });
      await catalog.purge(ids[1]!, await backups.remove(ids[1]!, PAST));
      await catalog.purge(ids.at(-1)!, await backups.remove(ids.at(-1)!, PAST));
      await from.store.delete(blobKey(ids.at(-1)!));
      for (let i = 0; i < 6; i++) await addFile(from, `new ${i}`, {}, newId());
    };
    let changing: Promise<void> | undefined;
    const onProgress = () => void (changing ??= change());
    // The catalog gives no second page before the changes are made.
    const slow = delayed(from.catalog, 'exportFiles', () => changing ?? Promise.resolve());
    const { manifest } = await backup(
      { ...backups.partsOf(from), catalog: slow },
      { full: false, pageSize: 5, onProgress },
      OPEN,
    );
    expect(manifest).toMatchObject({ files: 16, damagedCount: 0 });
    const to = await backups.openEmpty('to');
    expect(await backups.restoreTo(to)).toMatchObject({ proven: 16 });
    expect(await contentOf(to)).toEqual(await contentOf(from));
  });

  it('copies only what changed since the last one, each of which can be restored', async () => {
    const [changed, purged] = [await addFile(from, 'one', {}, newId()), await addFile(from, 'two')];
    const first = await backups.make();
    const stateOfFirst = await contentOf(from);
    await from.catalog.update(changed.id, changed.revision, { name: 'another name' });
    await from.catalog.purge(purged.id, await backups.remove(purged.id, PAST));
    await addFile(from, 'three', {}, newId());
    const second = await backups.make();
    expect(second).toMatchObject({ copied: 1, copiedBytes: 5, whyFull: '' });
    expect(second.manifest).toMatchObject({ kind: 'incremental', base: first.manifest.name, files: 2 });
    // Without any change.
    const third = await backups.make();
    expect(third.manifest).toMatchObject({ kind: 'incremental', files: 2, changes: second.manifest.changes });
    const [last, earlier] = [await backups.openEmpty('last'), await backups.openEmpty('earlier')];
    await backups.restoreTo(last);
    expect(await contentOf(last)).toEqual(await contentOf(from));
    await backups.restoreTo(earlier, { backup: first.manifest.name });
    expect(await contentOf(earlier)).toEqual(stateOfFirst);
    expect((await backups.make({ full: true })).manifest).toMatchObject({ kind: 'full', files: 2 });
  });

  it('reads everything again if the change log was trimmed meanwhile, and copies no bytes twice', async () => {
    for (let i = 0; i < 3; i++) await addFile(from);
    await backups.make();
    for (let i = 0; i < 3; i++) await addFile(from);
    await from.catalog.changes.trim(new Date(Date.now() + 1_000), 1_000);
    const { manifest, copied, whyFull } = await backups.make();
    expect(manifest).toMatchObject({ kind: 'full', files: 6 });
    expect([copied, whyFull]).toEqual([3, expect.stringContaining('the change log no longer has')]);
  });

  it.each(['files', 'changes', 'summary'] as const)('goes on after a kill during %s', async (phase) => {
    for (let i = 0; i < 9; i++) await addFile(from, `file ${i}`, {}, newId());
    const isLate = phase !== 'files';
    const adding: Promise<unknown>[] = [];
    const onProgress = (progress: BackupProgress) => {
      if (progress.phase === 'files' && isLate && adding.length === 0) adding.push(addFile(from, 'late'));
    };
    await backups.makeKilledAt(phase, { pageSize: 4, onProgress });
    await Promise.all(adding);
    expect(await place.finished(OPEN)).toEqual([]);
    await addFile(from, 'after the kill', {}, newId());
    const there = (await readdir(join(backups.dir, 'place'), { recursive: true })).filter((name) =>
      /[0-9a-f]{64}~$/.test(name),
    );
    const { manifest, copied, resumedFrom } = await backups.make({ pageSize: 4 });
    expect(resumedFrom).toBe(manifest.startTime);
    expect(copied).toBe(manifest.files - there.length);
    const to = await backups.openEmpty('to');
    await backups.restoreTo(to);
    expect(await contentOf(to)).toEqual(await contentOf(from));
    expect(await place.unfinished(OPEN)).toEqual([]);
  });

  it('holds back purges while it runs', async () => {
    const { id } = await addFile(from);
    await backups.remove(id, PAST);
    const run = () => sweep({ ...from, log: pino({ level: 'silent' }) }, OPEN, () => Promise.resolve());
    let swept: ReturnType<typeof run> | undefined;
    const lazy = delayed(from.store, 'read', () => (swept = run()));
    const { manifest } = await backup({ ...backups.partsOf(from), store: lazy }, { full: false }, OPEN);
    expect((await swept!).purged).toBe(0);
    expect(manifest).toMatchObject({ files: 1, deleted: 1, damagedCount: 0 });
    expect((await run()).purged).toBe(1);
    const to = await backups.openEmpty('to');
    expect(await backups.restoreTo(to)).toMatchObject({ proven: 1 });
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
    const { manifest } = await backups.make();
    expect(manifest).toMatchObject({ files: 4, damagedCount: 3 });
    expect(new Set(manifest.damaged)).toEqual(new Set(reasons));
    const to = await backups.openEmpty('to');
    const state = await backups.restoreTo(to);
    expect(state).toMatchObject({ records: 4, proven: 1, damagedCount: 3 });
    expect(new Set(state.damaged)).toEqual(new Set(reasons));
    for (const [at, text] of ['missing', 'changed', 'longer'].entries())
      await putBytes(from.store, damaged[at]!.id, Buffer.from(text));
    const again = await backups.make();
    expect(again).toMatchObject({ copied: 3, whyFull: expect.stringContaining('damaged') });
    expect(again.manifest).toMatchObject({ kind: 'full', damagedCount: 0 });
  });
});
