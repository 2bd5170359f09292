import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomInt } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { backupTo, restoreFrom } from '../../src/app/backup.ts';
import { migrateCatalog } from '../../src/app/catalog.ts';
import { withStoreAndCatalog } from '../../src/app/legacy.ts';
import { backupLocation } from '../../src/config/backup.ts';
import { loadConfig, type Config } from '../../src/config/config.ts';
import { BACKUP_POINTS } from '../../src/system/crash-points.ts';
import { newId } from '../conformance/file-catalog/subject.ts';
import { endOf, runCli, startCli } from '../e2e/support/cli.ts';
import { addFile, contentOf, type StoreAndCatalog } from '../support/backups.ts';
import { ROOT } from '../support/install.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { FULL } from './support/report.ts';

type Env = Readonly<Record<string, string>>;

const OPEN = new AbortController().signal;

/** A short run has one point of each of the three commands, a full run all. */
const POINTS = FULL
  ? BACKUP_POINTS
  : (['backup.page-written', 'backup.page-removed', 'restore.record-written'] as const);

describe('a backup whose command is killed', () => {
  let dir: string;
  let source: Env;
  /** What the files are, each field and byte. */
  let model: object;
  let count = 0;

  beforeAll(async () => {
    dir = await makeDir('backup-killed');
    source = { ASSET_DATA_DIR: join(dir, 'source'), ASSET_AUDIT_LOG: 'off' };
    await migrateCatalog(configOf(source));
    await within(source, async (parts) => {
      for (let i = 0; i < 6; i++) await addFile(parts, `file ${i}`, {}, newId());
    });
    model = await within(source, contentOf);
  });
  afterAll(() => removeDir(dir));

  const configOf = (env: Env): Config => loadConfig({ ...env, ASSET_LOG_LEVEL: 'silent' });
  const within = <T>(env: Env, work: (parts: StoreAndCatalog) => Promise<T>) =>
    withStoreAndCatalog(configOf(env), work);
  const newDir = () => join(dir, `d${(count += 1)}`);
  const place = (where: string) => backupLocation(where, configOf(source));

  /** Runs a command until it is killed at a point; what holds back purges then would expire after a minute. */
  async function killedAt(point: string, env: Env, args: readonly string[]): Promise<void> {
    const plan = join(dir, 'plan.json');
    await writeFile(plan, JSON.stringify({ point, nth: FULL ? randomInt(1, 3) : 1, signal: 'SIGKILL' }));
    const more = {
      NODE_OPTIONS: `--import=${join(ROOT, 'test/fault/kill-at.mjs')}`,
      ASSET_TEST_FAULT_PLAN: plan,
    };
    const { code } = await endOf(startCli(args, { cwd: dir, env: { ...env, ...more } }));
    // A point that comes once is not reached a second time.
    if (code === 0 && FULL) return;
    expect([point, code]).toEqual([point, 'SIGKILL']);
    const catalog = new DatabaseSync(join(env['ASSET_DATA_DIR']!, 'catalog.sqlite'));
    catalog.exec("delete from leases where name = 'purge'");
    catalog.close();
  }

  async function run(env: Env, args: readonly string[]): Promise<Record<string, unknown>> {
    const { code, stdout, stderr } = await runCli([...args, '--json'], { cwd: dir, env });
    expect([code, stderr]).toEqual([0, expect.any(String)]);
    return JSON.parse(stdout) as Record<string, unknown>;
  }

  /** What a restore of the last backup gives; how it is refused if there is none. */
  async function restored(where: string): Promise<object | string> {
    const env = { ASSET_DATA_DIR: newDir() };
    try {
      await restoreFrom(configOf(env), place(where), {}, OPEN);
    } catch (error) {
      return (error as Error).message;
    }
    return within(env, contentOf);
  }

  it.each(POINTS)(
    'at %s is whole after one repetition, and never taken for whole before',
    async (point) => {
      const where = newDir();
      const make = () => backupTo(configOf(source), place(where), { full: true }, OPEN);
      if (point.startsWith('restore.')) {
        await make();
        const target = { ASSET_DATA_DIR: newDir(), ASSET_AUDIT_LOG: 'off' };
        await killedAt(point, target, ['restore', where]);
        expect(await run(target, ['restore', where])).toMatchObject({ state: 'done', files: 6, proven: 6 });
        expect(await within(target, contentOf)).toEqual(model);
        return;
      }
      const isRemoval = point.endsWith('-removed');
      if (isRemoval) {
        // A file that is purged before the last backup leaves bytes that nobody needs.
        const past = new Date(Date.now() - 60_000);
        const purged = await within(source, (parts) => addFile(parts, `purged ${point}`));
        await make();
        await make();
        await within(source, async ({ catalog }) => {
          const { revision } = await catalog.update(purged.id, purged.revision, {
            ...{ deleteTime: past, purgeTime: past },
          });
          await catalog.purge(purged.id, revision);
        });
      }
      const args = ['backup', where, '--full', '--keep', '1'];
      await killedAt(point, source, args);
      if (!isRemoval && point !== 'backup.finished') {
        const seen = await restored(where);
        if (typeof seen === 'string') expect(seen).toMatch(/no finished backup|has no backups/);
        else expect(FULL && seen).toEqual(model);
      } else expect(await restored(where)).toEqual(model);
      await run(source, args);
      expect(await restored(where)).toEqual(model);
      const names = async () => (await run(source, args))['removed'];
      expect(((await names()) as unknown[]).length).toBe(1);
    },
    240_000,
  );
});
