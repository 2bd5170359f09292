import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { pino } from 'pino';
import { ReplicaSettings } from '../../src/app/replica-settings.ts';
import type { FileCatalog } from '../../src/catalog/file-catalog.ts';
import { openSqliteCatalog } from '../../src/catalog/sql/sqlite.ts';
import { loadConfig } from '../../src/config/config.ts';
import { makeDir, removeDir } from '../support/process.ts';

describe('the leases that a replica shows its settings with', () => {
  let dir: string;
  let catalog: FileCatalog;

  beforeEach(async () => {
    dir = await makeDir('replica-settings');
    catalog = openSqliteCatalog({ path: join(dir, 'catalog.sqlite') });
    await catalog.migrate();
  });

  afterEach(async () => {
    await catalog.close();
    await removeDir(dir);
  });

  const leases = async () => (await catalog.exportState('lease', undefined, 100)).items.map(({ key }) => key);

  it('go when it stops; those of replicas that were killed go ten minutes after they expired', async () => {
    const ago = (seconds: number) => ({ holder: 'e1-ready', expireTime: Date.now() - seconds * 1_000 });
    await catalog.importState([
      { kind: 'lease', key: 'replica-catalog-killed', value: ago(700) },
      { kind: 'lease', key: 'replica-settings-killed-0', value: ago(700) },
      { kind: 'lease', key: 'replica-store-lost', value: ago(60) },
      { kind: 'lease', key: 'sweep', value: ago(7_000) },
    ]);
    const config = loadConfig({ ASSET_DATA_DIR: dir });
    const settings = new ReplicaSettings(config, catalog, pino({ level: 'silent' }));
    await settings.check({ signal: AbortSignal.timeout(10_000) });
    const others = ['replica-store-lost', 'sweep'];
    const shown = await leases();
    expect(shown).toEqual(expect.arrayContaining(others));
    expect(shown.length).toBeGreaterThan(others.length);
    expect(shown.filter((key) => key.includes('killed'))).toEqual([]);
    await settings.close();
    expect((await leases()).toSorted()).toEqual(others);
  });
});
