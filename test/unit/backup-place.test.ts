import { describe, expect, it } from '@jest/globals';
import { rename, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { backupTo, restoreFrom } from '../../src/app/backup.ts';
import { withCatalog } from '../../src/app/drivers.ts';
import { loadConfig } from '../../src/config/config.ts';
import { makeDir, removeDir } from '../support/process.ts';

describe('a backup in a directory', () => {
  it('is restored from where nothing can be written, and no backup is made there', async () => {
    const dir = await makeDir('backup-place');
    try {
      const from = loadConfig({ ASSET_DATA_DIR: join(dir, 'from'), ASSET_LOG_LEVEL: 'silent' });
      const to = loadConfig({ ASSET_DATA_DIR: join(dir, 'to'), ASSET_LOG_LEVEL: 'silent' });
      const where = { kind: 'directory', path: join(dir, 'place') } as const;
      const { signal } = new AbortController();
      await withCatalog(from, {}, (catalog) => catalog.migrate());
      await backupTo(from, where, { full: false }, signal);
      // A new file is never written through a link. This refuses it to root too.
      await rename(join(where.path, 'unfinished'), join(dir, 'elsewhere'));
      await symlink(join(dir, 'elsewhere'), join(where.path, 'unfinished'));
      await expect(backupTo(from, where, { full: false }, signal)).rejects.toThrow();
      expect(await restoreFrom(to, where, {}, signal)).toMatchObject({ state: 'done', damagedCount: 0 });
    } finally {
      await removeDir(dir);
    }
  });
});
