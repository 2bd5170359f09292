import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { existsSync } from 'node:fs';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { backupTo, restoreFrom } from '../../src/app/backup.ts';
import { holdDataDirUndoably } from '../../src/app/data-dir.ts';
import { migrateCatalog } from '../../src/app/catalog.ts';
import { loadConfig } from '../../src/config/config.ts';
import { openLog } from '../../src/telemetry/log.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { OPEN } from './support/backups.ts';

describe('a refused backup or restore creates nothing', () => {
  let dir: string;

  beforeEach(async () => {
    dir = await makeDir('refused-restore');
  });
  afterEach(() => removeDir(dir));

  const configOf = (name: string) =>
    loadConfig({ ASSET_DATA_DIR: join(dir, name), ASSET_MIN_FREE_SPACE: '0' });
  const placeAt = (name: string) => ({ kind: 'directory', path: join(dir, name) }) as const;

  it('where there is no backup, or none of that name', async () => {
    await expect(restoreFrom(configOf('to'), placeAt('none'), {}, OPEN)).rejects.toThrow('has no backups');
    await mkdir(join(dir, 'place', 'blobs'), { recursive: true });
    const again = restoreFrom(configOf('a/b/to'), placeAt('place'), {}, OPEN);
    await expect(again).rejects.toThrow('no finished backup');
    expect(await readdir(dir)).toEqual(['place']);

    await migrateCatalog(configOf('from'));
    await backupTo(configOf('from'), placeAt('backups'), { full: false }, OPEN);
    const wrong = restoreFrom(configOf('to'), placeAt('backups'), { backup: 'other' }, OPEN);
    await expect(wrong).rejects.toThrow('no finished backup other');
    expect(existsSync(join(dir, 'to'))).toBe(false);
    // What is not refused creates it.
    expect(await restoreFrom(configOf('to'), placeAt('backups'), {}, OPEN)).toMatchObject({ state: 'done' });
    expect(existsSync(join(dir, 'to', 'catalog.sqlite'))).toBe(true);
  });

  it('of a backup where there is no catalog', async () => {
    await expect(backupTo(configOf('from'), placeAt('place'), { full: false }, OPEN)).rejects.toThrow();
    expect(await readdir(dir)).toEqual([]);
  });

  it.each(['missing', 'empty', 'in use'])('in a directory that was %s', async (state) => {
    const path = join(dir, 'a', 'b');
    if (state !== 'missing') await mkdir(path, { recursive: true });
    if (state === 'in use') await writeFile(join(path, 'catalog.sqlite'), '');
    const config = configOf('a/b');
    const { release, undo } = holdDataDirUndoably(config, openLog('silent'));
    await mkdir(join(path, 'blobs', 'ab'), { recursive: true });
    await writeFile(join(path, 'url-signing.key'), 'x');
    undo();
    release();
    if (state === 'missing') expect(await readdir(dir)).toEqual([]);
    if (state === 'empty') expect(await readdir(path)).toEqual([]);
    if (state === 'in use') {
      const kept = ['blobs', 'catalog.sqlite', 'catalog.sqlite.lock', 'url-signing.key'];
      expect((await readdir(path)).sort()).toEqual(kept);
    }
  });

  it('and removes nothing of a process that uses the directory, or that used it a moment before', async () => {
    const [config, path] = [configOf('to'), join(dir, 'to')];
    const other = holdDataDirUndoably(config, openLog('silent'));
    await writeFile(join(path, 'catalog.sqlite'), 'x');
    expect(() => holdDataDirUndoably(config, openLog('silent'))).toThrow('another process');
    other.release();
    const { release, undo } = holdDataDirUndoably(config, openLog('silent'));
    undo();
    release();
    expect(await readdir(path)).toContain('catalog.sqlite');
  });

  it('and keeps bytes that were stored', async () => {
    const [config, path] = [configOf('to'), join(dir, 'to', 'blobs', 'ab')];
    const { release, undo } = holdDataDirUndoably(config, openLog('silent'));
    await mkdir(path, { recursive: true });
    await writeFile(join(path, 'blob'), 'x');
    undo();
    release();
    expect(await readdir(path)).toEqual(['blob']);
  });
});
