import { DeleteObjectCommand, HeadObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { migrateCatalog } from '../../src/app/catalog.ts';
import { withOldSystem } from '../../src/app/legacy.ts';
import { moveMemory } from '../../src/app/move-memory.ts';
import { loadConfig } from '../../src/config/config.ts';
import { crc32c } from '../../src/files/upload/crc32c.ts';
import { blobKey } from '../../src/files/bytes.ts';
import type { OldSystem } from '../../src/legacy/old-system.ts';
import type { ObjectReader } from '../../src/storage/object-reader.ts';
import { backfill, type BackfillOptions } from '../../src/legacy/backfill.ts';
import {
  acknowledge,
  acknowledgements,
  backfillControl,
  backfillState,
  controlBackfill,
} from '../../src/legacy/backfill-state.ts';
import { moveStatus } from '../../src/legacy/status.ts';
import { verify } from '../../src/move/verify.ts';
import { clientOf, download } from '../e2e/support/calls.ts';
import { endOf, runCli, runOnTerminal, startCli } from '../e2e/support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { LEGACY_VIEWS } from '../support/legacy/collections.ts';
import { startLegacySystem, type LegacyFile, type LegacySystem } from '../support/legacy/system.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';

const signal = new AbortController().signal;

describe('legacy backfill', () => {
  let legacy: LegacySystem;
  let dir: string;
  let service: Service;
  let movable: LegacyFile[];
  /** Link, type and size of every record before the move. */
  let original: Map<string, readonly unknown[]>;

  beforeAll(async () => {
    [legacy, dir] = await Promise.all([startLegacySystem({ size: 130 }), makeDir('backfill')]);
    await migrateCatalog(loadConfig(legacy.env));
    service = await startService(legacy.env);
    movable = legacy.files.filter(
      ({ damage, hasBrokenRelation }) => damage === undefined && !hasBrokenRelation,
    );
  });
  afterAll(async () => {
    await service?.dispose();
    await legacy?.dispose();
    await removeDir(dir);
  });

  const within = <T>(work: (system: OldSystem) => Promise<T>) => withOldSystem(loadConfig(legacy.env), work);
  const run = (more: Partial<BackfillOptions> = {}) =>
    within((system) =>
      backfill(
        system,
        {
          ...{
            ...moveMemory(loadConfig(legacy.env)),
            dryRun: false,
            holder: 'test',
            workers: 8,
            rate: undefined,
          },
          ...more,
        },
        new AbortController().signal,
      ),
    );
  const records = () => legacy.admin.collection('files').getFullList({ sort: 'id' });
  const blobs = () => within(({ store }) => store.listBlobs({ prefix: 'assets/', limit: 1_000 }));
  const command = (...args: string[]) => runCli(args, { cwd: dir, env: legacy.env });
  const cli = (...args: string[]) => command('legacy', ...args);
  /** Reads whole files over and over, as the BFF, the worker and callers of the service do, until it is stopped. */
  function readAll() {
    const client = clientOf(service.url);
    const failures: string[] = [];
    let [reads, stopped] = [0, false];
    const expectBytes = async ({ id, content }: LegacyFile, read: (id: string) => Promise<Buffer>) => {
      reads += 1;
      const bytes = await read(id).catch((error: unknown) => failures.push(`${id}: ${String(error)}`));
      if (typeof bytes === 'object' && !bytes.equals(content)) failures.push(`${id}: other bytes`);
    };
    const loop = async (files: readonly LegacyFile[], read: (id: string) => Promise<Buffer>) => {
      for (let i = 0; !stopped; i++) await expectBytes(files[i % files.length]!, read);
    };
    const of = (way: string) => movable.filter((file) => file.way === way);
    const byUrl = async (id: string) => {
      const { url } = await client.getFileUrl({ source: { case: 'fileId', value: id } });
      const response = await fetch(url);
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      return Buffer.from(await response.arrayBuffer());
    };
    const loops = Promise.all([
      loop(of('bff'), (id) => legacy.bff.read(id)),
      loop(of('pocketbase'), (id) => legacy.worker.read(id)),
      loop(movable, async (id) => (await download(client, id)).content),
      loop([...movable].reverse(), byUrl),
    ]);
    return {
      async stop() {
        stopped = true;
        await loops;
        return { reads, failures };
      },
    };
  }
  const trouble = { missing: 1, mismatch: 3, refused: 1 };

  it('says in a dry run what would come of every file, and writes nothing', async () => {
    const before = await records();
    original = new Map(before.map(({ id, link, mime, size }) => [id, [link, mime, size]] as const));
    const state = await run({ dryRun: true });
    // What PocketBase will refuse is known when it does.
    expect(state?.counts).toEqual({ moved: movable.length + 1, missing: 1, mismatch: 3 });
    expect(state?.total.files).toBe(legacy.files.length);
    expect(await records()).toEqual(before);
    expect(await blobs()).toEqual([]);
    expect(await within(({ catalog }) => backfillState(catalog.legacy))).toBeUndefined();
  });

  it('begins with one file at a time, and looks at more at once after that', async () => {
    const atOnce: number[] = [];
    let active = 0;
    const workers = 8;
    const state = await within((system) => {
      const { reader } = system.bucket;
      const counted: ObjectReader = Object.create(reader, {
        stat: {
          async value(...args: Parameters<ObjectReader['stat']>) {
            atOnce.push(++active);
            try {
              return await reader.stat(...args);
            } finally {
              active -= 1;
            }
          },
        },
      });
      const options = {
        ...moveMemory(loadConfig(legacy.env)),
        dryRun: true,
        holder: 'test',
        rate: undefined,
      };
      const slow = { ...system, bucket: { ...system.bucket, reader: counted } };
      return backfill(slow, { ...options, workers }, signal);
    });
    expect(Math.max(...atOnce.slice(0, 80))).toBe(1);
    expect(Math.max(...atOnce)).toBeGreaterThan(1);
    expect(Math.max(...atOnce)).toBeLessThanOrEqual(workers);
    expect(state?.workers).toBeGreaterThanOrEqual(1);
  });

  it('obeys from any machine, and goes on after it was killed', async () => {
    const child = startCli(['legacy', 'backfill', '--rate', '20', '--json', '--yes'], {
      cwd: dir,
      env: legacy.env,
    });
    const state = () => within(({ catalog }) => backfillState(catalog.legacy));
    await eventually(async () => expect((await state())?.state).toBe('running'));
    const status = JSON.parse((await cli('status', '--json')).stdout) as object;
    expect(status).toMatchObject({ backfill: { state: 'running', workers: 1 } });
    expect((await cli('status')).stdout).toMatch(/^backfill: running, .*, files at once: 1, /m);
    expect((await cli('backfill', 'pause')).code).toBe(0);
    await eventually(async () => expect((await state())?.state).toBe('paused'));
    const second = await run({ leaseMs: 200, holder: 'other' });
    expect(second).toBeUndefined();
    await within(({ catalog }) => controlBackfill(catalog, { rate: 15 }, signal));
    await eventually(async () => expect((await state())?.rate).toBe(15));
    await within(({ catalog }) => controlBackfill(catalog, { paused: false }, signal));
    await eventually(async () => expect((await state())?.state).toBe('running'));
    child.kill('SIGKILL');
    expect((await endOf(child)).code).toBe('SIGKILL');
    expect((await blobs()).length).toBeLessThan(movable.length);
    expect((await cli('backfill', 'rate')).code).toBe(2);
  });

  it('moves every whole file, reports the others, and leaves the originals', async () => {
    const views = async () =>
      Promise.all(
        LEGACY_VIEWS.map(async (view) => (await legacy.admin.collection(view).getFullList()).length),
      );
    const before = await views();
    const traffic = readAll();
    const done = await cli('backfill', '--json', '--rate', '60', '--yes');
    const { reads, failures } = await traffic.stop();
    expect(failures).toEqual([]);
    expect(reads).toBeGreaterThan(50);
    expect(done.code).toBe(1);
    const report = JSON.parse(done.stdout) as Record<string, number>;
    expect(report).toMatchObject({
      state: 'done',
      ...trouble,
      unreadable: 0,
      acknowledged: 0,
      total: legacy.files.length,
    });
    const sum = ['moved', 'already', 'missing', 'mismatch', 'unreadable', 'refused', 'acknowledged'];
    expect(sum.reduce((all, name) => all + report[name]!, 0)).toBe(legacy.files.length);
    expect((await blobs()).map(({ key }) => key).sort()).toEqual(movable.map(({ id }) => blobKey(id)).sort());
    await within(async ({ store, catalog }) => {
      const found = await catalog.get(legacy.files.map(({ id }) => id));
      for (const { id, content, key } of movable) {
        const file = found.get(id)!;
        expect(Buffer.from(file.sha256!)).toEqual(createHash('sha256').update(content).digest());
        expect([id, file.crc32c, file.sizeBytes]).toEqual([id, crc32c(content), content.length]);
        expect((await buffer(await store.read(blobKey(id)))).equals(content)).toBe(true);
        await legacy.bucket.client.send(new HeadObjectCommand({ Bucket: legacy.bucket.bucket, Key: key }));
      }
    });
    const raws = await records();
    const kept = raws.filter((raw) => raw['link'] !== '').map(({ id }) => id);
    const unmoved = legacy.files.filter((file) => !movable.includes(file) && file.link !== 'none');
    expect(kept.sort()).toEqual(unmoved.map(({ id }) => id).sort());
    expect(await views()).toEqual(before);
  });

  it('writes nothing when it is run again', async () => {
    const before = [await records(), await blobs()];
    const state = await run();
    expect(state?.counts).toEqual({ already: movable.length, ...trouble });
    expect([await records(), await blobs()]).toEqual(before);
  });

  it('holds up for no damage that somebody acknowledged', async () => {
    const acknowledge = (id: string, ...more: string[]) =>
      cli('acknowledge', id, '--reason', 'lost in 2019', ...more);
    expect((await acknowledge('nosuchfile00000', '--yes')).code).toBe(1);
    const { id } = legacy.file('missing');
    expect(await acknowledge(id)).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') });
    const onTerminal = (input: string) => {
      const args = ['legacy', 'acknowledge', id, '--reason', 'lost in 2019'];
      return runOnTerminal(args, { cwd: dir, env: legacy.env, input });
    };
    const refused = await onTerminal('n\n');
    expect([refused.code, refused.stdout.includes('Go on? [y/N]')]).toEqual([1, true]);
    expect(await within(({ catalog }) => acknowledgements(catalog.legacy))).toEqual({});
    expect((await onTerminal('y\n')).code).toBe(0);
    const shown = await runOnTerminal(['legacy', 'backfill', '--dry-run'], { cwd: dir, env: legacy.env });
    expect(shown.stdout).toMatch(/\[#+\.*\] \d+% {2}\d+\/\d+ files {2}/);
    const state = await run();
    expect(state?.counts).toEqual({ already: movable.length, mismatch: 3, refused: 1, acknowledged: 1 });
  });

  it('keeps what several operators say at once', async () => {
    const before = await within(({ catalog }) => acknowledgements(catalog.legacy));
    const ids = legacy.files.slice(0, 3).map(({ id }) => id);
    const what = { reason: 'known', by: 'test', time: '2026-11-29' };
    await within(async ({ catalog }) => {
      await Promise.all([
        ...ids.map((id) => acknowledge(catalog, id, what, signal)),
        controlBackfill(catalog, { rate: 7 }, signal),
        controlBackfill(catalog, { paused: true }, signal),
      ]);
      expect(Object.keys(await acknowledgements(catalog.legacy))).toEqual(expect.arrayContaining(ids));
      expect(await backfillControl(catalog.legacy)).toMatchObject({ rate: 7, paused: true });
      await catalog.legacy.putState('legacy-acknowledged', before);
    });
  });

  it('is undone, and done again', async () => {
    const values = async () =>
      new Map((await records()).map(({ id, link, mime, size }) => [id, [link, mime, size]] as const));
    const [lost] = movable;
    const at = { Bucket: legacy.bucket.bucket, Key: lost!.key };
    await legacy.bucket.client.send(new DeleteObjectCommand(at));
    const undone = await cli('backfill', 'undo', '--json', '--yes');
    expect([undone.code, JSON.parse(undone.stdout)]).toEqual([1, { undone: movable.length - 1, kept: 1 }]);
    expect(undone.stderr).toContain(`${lost!.id}: stays in the store of the service`);
    const now = await values();
    const other = movable.filter(({ id }) => id !== lost!.id).map(({ id }) => id);
    expect(other.filter((id) => String(now.get(id)) !== String(original.get(id)))).toEqual([]);
    expect((await download(clientOf(service.url), other[0]!)).content).toEqual(movable[1]!.content);
    await legacy.bucket.put(lost!.key, lost!.content, lost!.contentType);
    expect(JSON.parse((await cli('backfill', 'undo', '--json', '--yes')).stdout)).toEqual({
      undone: 1,
      kept: 0,
    });
    expect((await values()).get(lost!.id)).toEqual(original.get(lost!.id));
    const again = await run();
    expect(again?.counts).toEqual({ moved: movable.length, mismatch: 3, refused: 1, acknowledged: 1 });
  });

  it('puts right what a run left that was killed between copy and record', async () => {
    const content = Buffer.from('written late by the BFF');
    const id = await legacy.bff.write('late.txt', content);
    await within(({ store }) =>
      store.put(blobKey(id), { sizeBytes: 4, chunks: [Buffer.from('half')] }, { contentType: 'text/plain' }),
    );
    const state = await run();
    expect(state?.counts.moved).toBe(1);
    const stored = await within(async ({ store }) => buffer(await store.read(blobKey(id))));
    expect(stored).toEqual(content);
  });

  it('is verified and tells where it stands', async () => {
    const verified = await command('verify', '--json');
    expect([verified.code, verified.stderr]).toEqual([0, '']);
    // With what the BFF wrote in between.
    expect(JSON.parse(verified.stdout)).toMatchObject({
      ...{ state: 'done', checked: movable.length + 1, damaged: [], not_moved: 5, resumed_from: '' },
    });
    const { stdout } = await cli('status', '--json');
    expect(JSON.parse(stdout)).toMatchObject({
      ...{ state: 'moving', copied: movable.length + 1, backfill: { state: 'done', acknowledged: 1 } },
      next_steps: [expect.stringContaining('legacy backfill'), expect.stringContaining('legacy acknowledge')],
    });
    for (const file of legacy.files.filter((one) => !movable.includes(one))) {
      const what = { reason: 'known', by: 'test', time: '2026-11-29' };
      await within(({ catalog }) => acknowledge(catalog, file.id, what, signal));
    }
    const status = () => within(({ catalog }) => moveStatus(catalog));
    expect((await run())?.counts.acknowledged).toBe(5);
    // What was verified before the last run proves nothing of it.
    expect(await status()).toMatchObject({ state: 'moved', nextSteps: ['asset-service verify'] });
    await within((parts) =>
      verify(parts, { sample: 100, since: undefined, restart: true }, new AbortController().signal),
    );
    expect(await status()).toMatchObject({
      state: 'verified',
      nextSteps: [expect.stringContaining('lock --shadow'), expect.anything()],
    });
    await within(({ store }) => store.delete(blobKey(movable[0]!.id)));
    await within((parts) =>
      verify(parts, { sample: 100, since: undefined, restart: true }, new AbortController().signal),
    );
    expect((await status()).state).toBe('moved');
    await within(({ store }) => {
      const chunks = [movable[0]!.content];
      return store.put(
        blobKey(movable[0]!.id),
        { sizeBytes: chunks[0]!.length, chunks },
        { contentType: 'text/plain' },
      );
    });
  });

  it('lets the service serve every file as before, by id and by old path, and BFF and worker too', async () => {
    const client = clientOf(service.url);
    const picked = movable.filter((_, index) => index % 9 === 0 || index > 125);
    for (const { id, key, content } of [...picked, legacy.file('broken-relation')]) {
      expect((await download(client, id)).content.equals(content)).toBe(true);
      const { url } = await client.getFileUrl({ source: { case: 'legacyPath', value: key } });
      expect(Buffer.from(await (await fetch(url)).arrayBuffer()).equals(content)).toBe(true);
    }
    expect(await legacy.bff.read(picked[0]!.id)).toEqual(picked[0]!.content);
  });
});
