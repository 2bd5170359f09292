import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileCatalog } from '../../src/catalog/file-catalog.ts';
import { openSqliteCatalog } from '../../src/catalog/sql/sqlite.ts';
import { startMove } from '../../src/move/catalog/start.ts';
import { switchMove } from '../../src/move/catalog/switch.ts';
import { verifyMove } from '../../src/move/catalog/verify.ts';
import { createFile } from '../conformance/file-catalog/subject.ts';
import { runCli } from '../e2e/support/cli.ts';
import { makeDir, removeDir } from '../support/process.ts';

describe('the command catalog move', () => {
  let dir: string;
  let source: FileCatalog;
  let target: FileCatalog;
  let env: Record<string, string>;

  beforeAll(async () => {
    dir = await makeDir('catalog-move-command');
    env = {
      ...{ ASSET_DATA_DIR: join(dir, 'a'), ASSET_NEXT_CATALOG: 'sqlite', ASSET_AUDIT_LOG: 'off' },
      ASSET_NEXT_DATA_DIR: join(dir, 'b'),
    };
    await runCli(['migrate'], { cwd: dir, env });
    await runCli(['migrate'], {
      cwd: dir,
      env: { ...env, ASSET_DATA_DIR: join(dir, 'b'), ASSET_NEXT_CATALOG: '' },
    });
    source = openSqliteCatalog({ path: join(dir, 'a', 'catalog.sqlite') });
    target = openSqliteCatalog({ path: join(dir, 'b', 'catalog.sqlite') });
  });

  afterAll(async () => {
    await Promise.all([source?.close(), target?.close()]);
    await removeDir(dir);
  });

  const move = (...args: string[]) => runCli(['catalog', 'move', ...args], { cwd: dir, env });
  const json = (text: string) => JSON.parse(text) as Record<string, unknown>;

  it('copies, tells how far it is, finds and mends what differs, and ends', async () => {
    const files = [await createFile(source), await createFile(source)];
    const [begun, unasked] = await Promise.all([move('status', '--json'), move('start')]);
    expect(json(begun.stdout)).toMatchObject({ state: 'none', copied: 0, lag: 0 });
    expect(json(begun.stdout)['next_steps']).toEqual(['asset-service catalog move start --yes']);
    expect(unasked).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') });
    const started = await move('start', '--yes', '--json', '--rate', '1000');
    expect(json(started.stdout)).toMatchObject({ state: 'following', copied: 2, rate: 1000, refused: [] });
    expect((await target.get(files.map(({ id }) => id))).size).toBe(2);
    await target.dropFile(files[0]!.id);
    const different = await move('verify', '--json');
    expect(different.code).toBe(1);
    expect(json(different.stdout)).toMatchObject({
      ...{ checked: 2, resumed_from: '', damaged: [{ id: files[0]!.id, reason: 'missing' }] },
    });
    expect(await move('verify', '--repair')).toMatchObject({ code: 0, stdout: 'compared 2 records\n' });
    await createFile(source);
    const status = json((await move('status', '--json')).stdout);
    expect(status).toMatchObject({
      state: 'following',
      verify: { state: 'done', stale: false, damaged: [] },
    });
    expect(status['lag']).toBeGreaterThan(0);
    expect(await move('cancel', '--yes')).toMatchObject({ code: 0 });
    const refused = await move('verify');
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('catalog move start') });
  });

  it('switches, goes back, and completes, following what it names as the next step', async () => {
    const early = await move('switch', '--yes');
    expect(early).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('catalog move start'),
    });
    const [none, wrong] = [await move('reverse', '--yes'), await move('switch', '--yes', '--max-pause', '0')];
    expect([none.code, wrong.code]).toEqual([1, 2]);
    const done: string[] = [];
    const next = async () => (json((await move('status', '--json')).stdout)['next_steps'] as string[])[0];
    for (let command = await next(); command?.includes('complete') === false; command = await next()) {
      done.push(command.split(' ')[3]!);
      expect(await move(...command.split(' ').slice(3))).toMatchObject({ code: 0 });
    }
    expect(done).toEqual(['start', 'verify', 'switch']);
    expect(await move('complete')).toMatchObject({ code: 2 });
    const again = await move('switch', '--yes', '--json');
    expect(json(again.stdout)).toMatchObject({ state: 'switched', active: 'sqlite', changed: false });
    expect(await move('cancel', '--yes')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('reverse'),
    });
    const file = await createFile(target);
    const back = json((await move('reverse', '--yes', '--json')).stdout);
    expect(back).toMatchObject({
      state: 'following',
      changed: true,
      attempts: 1,
      next_steps: expect.any(Array),
    });
    expect(back['pause']).toBeLessThan(60);
    expect((await source.get([file.id])).size).toBe(1);
    expect(await move('complete', '--yes')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('switch'),
    });
    expect(await move('switch', '--yes', '--max-pause', '10')).toMatchObject({ code: 0 });
    const completed = json((await move('complete', '--yes', '--json')).stdout);
    expect(completed).toMatchObject({ state: 'completed', changed: true, next_steps: [] });
    expect(await move('complete', '--yes')).toMatchObject({ code: 0 });
    expect(await move('reverse', '--yes')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('complete'),
    });
    const elsewhere = await move('start', '--yes');
    expect(elsewhere).toMatchObject({ code: 1, stderr: expect.stringContaining('ASSET_CATALOG') });
    const status = json((await move('status', '--json')).stdout);
    expect(status).toMatchObject({ state: 'completed', lag: 0, next_steps: [] });
  });

  it('is completed without a source that is gone for good, and not before that', async () => {
    const dirs = [join(dir, 'c'), join(dir, 'd')] as const;
    const [old, fresh] = await Promise.all(
      dirs.map(async (one) => {
        await mkdir(one);
        const catalog = openSqliteCatalog({ path: join(one, 'catalog.sqlite') });
        await catalog.migrate();
        return catalog;
      }),
    );
    const catalogs = { source: old!, target: fresh! };
    const [options, never] = [{ holder: 'test', maxPauseMs: 10_000 }, new AbortController().signal];
    const settings = { ...env, ASSET_DATA_DIR: dirs[0], ASSET_NEXT_DATA_DIR: dirs[1] };
    const step = (...args: string[]) => runCli(['catalog', 'move', ...args], { cwd: dir, env: settings });
    const without = ['complete', '--without-source', '--yes', '--json'];
    try {
      const file = await createFile(old!);
      await startMove(catalogs, options, never);
      const [early, answering] = await Promise.all([
        step(...without),
        step('cancel', '--without-target', '--yes'),
      ]);
      expect(early).toMatchObject({ code: 1, stderr: expect.stringContaining('in the source') });
      expect(answering).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('the target (sqlite) answers'),
      });
      await verifyMove(catalogs, options, never);
      await switchMove(catalogs, options, never);
      expect(await step(...without)).toMatchObject({
        ...{ code: 1, stderr: expect.stringContaining('the source (sqlite) answers') },
      });
      await old!.close();
      await rm(dirs[0], { recursive: true });
      const [status, reverse, plain, unasked] = await Promise.all([
        step('status', '--json'),
        step('reverse', '--yes'),
        step('complete', '--yes'),
        step('complete', '--without-source'),
      ]);
      expect(status).toMatchObject({
        code: 0,
        stderr: expect.stringContaining('ASSET_CATALOG cannot be reached'),
      });
      const command = 'asset-service catalog move complete --without-source';
      expect(json(status.stdout)).toMatchObject({ state: 'switched', next_steps: [command] });
      for (const refused of [reverse, plain]) {
        expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining(command) });
      }
      expect(unasked).toMatchObject({ code: 2, stderr: expect.stringContaining('Lost are the way back') });
      const done = await step(...without);
      expect(json(done.stdout)).toMatchObject({ state: 'completed', changed: true, lost_subscriptions: [] });
      expect(json((await step(...without)).stdout)).toMatchObject({ state: 'completed', changed: false });
      expect((await fresh!.get([file.id])).size).toBe(1);
    } finally {
      await Promise.all([old!.close(), fresh!.close()]);
    }
  });

  it('names the settings of the target that are wrong', async () => {
    const url = 'postgres://files:hunter2@127.0.0.1:1/files';
    const next = { ASSET_NEXT_CATALOG: 'postgres', ASSET_NEXT_POSTGRES_URL: url };
    const { code, stderr } = await runCli(['catalog', 'move', 'start', '--yes'], {
      cwd: dir,
      env: { ...env, ...next },
    });
    expect(code).toBe(1);
    expect(stderr).toContain('ASSET_NEXT_POSTGRES_URL: nothing listens there');
    expect(stderr).not.toContain('hunter2');
  });
});
