import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { blobKey } from '../../src/files/bytes.ts';
import type { BackupPlace } from '../../src/move/backup/place.ts';
import { addFile, contentOf, putBytes, type StoreAndCatalog } from '../support/backups.ts';
import { Backups } from './support/backups.ts';

describe('a backup', () => {
  let backups: Backups;
  let from: StoreAndCatalog;
  let place: BackupPlace;

  beforeEach(async () => {
    backups = await Backups.open();
    ({ from, place } = backups);
  });
  afterEach(() => backups.close());

  it('is restored to the end after a kill', async () => {
    for (let i = 0; i < 9; i++) await addFile(from);
    await backups.make({ pageSize: 3 });
    const to = await backups.openEmpty('to');
    const killed = new AbortController();
    const onProgress = ({ records }: { readonly records: number }) => {
      if (records > 0) killed.abort(new Error('killed'));
    };
    await expect(backups.restoreTo(to, { onProgress }, killed.signal)).rejects.toThrow('killed');
    // What a kill left of the next file is not trusted.
    const before = await contentOf(from);
    const all = Object.keys(before).toSorted();
    const next = all[Object.keys(await contentOf(to)).length]!;
    await putBytes(to.store, next, Buffer.from('half'));
    // A later backup does not change which one is restored.
    await addFile(from);
    await backups.make();
    expect(await backups.restoreTo(to)).toMatchObject({
      state: 'done',
      records: 9,
      proven: 9,
      resumedFrom: all[2],
    });
    expect(await contentOf(to)).toEqual(before);
  });

  it('is restored as far as its bytes are there, and names the others', async () => {
    const [missing, changed] = [await addFile(from, 'missing'), await addFile(from, 'changed')];
    await addFile(from, 'whole');
    await backups.make();
    await place.store.delete(place.bytesKey(missing.sha256!));
    const key = place.bytesKey(changed.sha256!);
    await place.store.delete(key);
    const body = { sizeBytes: 7, chunks: [Buffer.from('CHANGED')] };
    await place.store.put(key, body, { contentType: 'text/plain' });
    const to = await backups.openEmpty('to');
    const { damaged, ...state } = await backups.restoreTo(to);
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
    await expect(backups.restoreTo(await backups.openEmpty('a'))).rejects.toThrow('no finished backup');
    const { id } = await addFile(from);
    await backups.makeKilledAt('summary');
    await expect(backups.restoreTo(await backups.openEmpty('b'))).rejects.toThrow('no finished backup');
    const { name } = (await backups.make()).manifest;
    await expect(backups.restoreTo(from)).rejects.toThrow(
      `the catalog (sqlite) is not empty: it has the file ${id}`,
    );
    const to = await backups.openEmpty('c');
    await putBytes(to.store, id, Buffer.from('x'));
    await expect(backups.restoreTo(to)).rejects.toThrow(
      `the store (filesystem) is not empty: it has ${blobKey(id)}`,
    );
    await expect(backups.restoreTo(to, { backup: 'other' })).rejects.toThrow(
      `no finished backup other; there are: ${name}`,
    );
    expect(await to.catalog.exportFiles('', 1)).toEqual([]);
  });

  it('is not restored from a page that was changed', async () => {
    await addFile(from);
    const { manifest } = await backups.make();
    const key = `some/prefix/${manifest.records[0]!.key}`;
    await place.store.delete(key);
    await place.store.put(key, { sizeBytes: 1, chunks: [Buffer.from('\n')] }, { contentType: 'text/plain' });
    await expect(backups.restoreTo(await backups.openEmpty('to'))).rejects.toThrow(
      `${manifest.records[0]!.key} of the backup is damaged`,
    );
  });
});
