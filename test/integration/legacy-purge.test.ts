import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { blobKey } from '../../src/files/bytes.ts';
import { lock, unlock } from '../../src/legacy/lock.ts';
import { purge, type PurgeLine, type PurgeOptions } from '../../src/legacy/purge.ts';
import { moveStatus } from '../../src/legacy/status.ts';
import { clientOf, download } from '../e2e/support/calls.ts';
import { runCli } from '../e2e/support/cli.ts';
import { killCommandAt } from '../support/legacy/killed-command.ts';
import { startFailingProxy, type FailingProxy } from '../support/legacy/failing-proxy.ts';
import { moveAll, type MovedSystem } from '../support/legacy/moved.ts';
import { startLegacySystem, type LegacyFile, type LegacySystem } from '../support/legacy/system.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';

const WEEK_MS = 7 * 86_400_000;
const signal = new AbortController().signal;

describe('legacy purge', () => {
  let legacy: LegacySystem;
  let moved: MovedSystem;
  let movedFiles: LegacyFile[];
  let proxy: FailingProxy;
  let service: Service;
  let dir: string;
  let env: Record<string, string>;

  beforeAll(async () => {
    [legacy, dir] = await Promise.all([startLegacySystem({ size: 12 }), makeDir('purge')]);
    proxy = await startFailingProxy(legacy.bucket.endpoint);
    env = { ...legacy.env, ASSET_LEGACY_S3_ENDPOINT: proxy.url };
    moved = await moveAll(legacy, env);
    service = await startService(legacy.env);
    movedFiles = legacy.files.filter((file) => file.damage === undefined && !file.hasBrokenRelation);
  });
  afterAll(async () => {
    await service?.dispose();
    await Promise.all([proxy?.close(), legacy?.dispose()]);
    await removeDir(dir);
  });
  afterEach(() => {
    proxy.fail = undefined;
  });

  const run = async (more: Partial<PurgeOptions> = {}) => {
    const lines: PurgeLine[] = [];
    const state = await moved.within((system) =>
      purge(
        system,
        {
          ...{ holder: 'test', by: 'me@here', dryRun: false, maxPercent: 100, maxAgeMs: WEEK_MS },
          ...{ full: false, rate: 0, onLine: (line) => lines.push(line), ...more },
        },
        signal,
      ),
    );
    return { ...state, lines };
  };
  const setLocked = (is: boolean) =>
    moved.within(async (system) => {
      const holder = { holder: 'test' };
      if (is) await lock(system, { ...holder, by: 'me@here', maxAgeMs: WEEK_MS }, signal);
      else await unlock(system, holder, signal);
    });
  const keys = () =>
    moved.within(async ({ bucket }) =>
      (await bucket.reader.list('', { signal })).map(({ key }) => key).sort(),
    );
  const thumbs = async () => (await keys()).filter((key) => key.includes('/thumbs_'));
  /** Removes the copy of a file while work runs. */
  const withoutCopy = async ({ id, content }: LegacyFile, work: () => Promise<void>) => {
    await moved.within(({ store }) => store.delete(blobKey(id)));
    await work();
    await moved.within(async ({ store }) => {
      const body = { sizeBytes: content.length, chunks: [content] };
      await store.put(blobKey(id), body, { contentType: 'text/plain' });
    });
  };

  it('says in a dry run what it would delete, also before the lock', async () => {
    const before = await keys();
    const report = await run({ dryRun: true });
    expect(report.planned).toBe(movedFiles.length + report.counts.thumb!);
    expect(report.counts).toMatchObject({ original: movedFiles.length, orphan: legacy.orphans.length });
    // Acknowledged files are served from the old bucket: all but the missing one have an object.
    expect(report.counts.kept).toBe(legacy.files.length - movedFiles.length - 1);
    expect(report.lines).toHaveLength(before.length);
    expect(await keys()).toEqual(before);
    expect((await moved.within(({ catalog }) => moveStatus(catalog))).purge).toBeUndefined();
  });

  it('refuses by name, and deletes nothing, while anything is not as it must be', async () => {
    const before = await keys();
    const refused = async (reason: string, more: Partial<PurgeOptions> = {}) => {
      await expect(run(more)).rejects.toMatchObject({ reason });
      expect(await keys()).toEqual(before);
    };
    await refused('NOT_LOCKED');
    await setLocked(true);
    await refused('NOT_VERIFIED', { maxAgeMs: 0 });
    await refused('ABOVE_MAX_PURGE', { maxPercent: 10 });
    await withoutCopy(movedFiles[0]!, () => refused('UNPROVEN'));
    // A list that fails, and one that is suddenly empty.
    const isList = (method: string, path: string) =>
      method === 'GET' && path.includes('list-type=2&start-after');
    proxy.fail = (method, path) => (isList(method, path) ? 503 : undefined);
    await refused('STORE_UNAVAILABLE');
    proxy.fail = undefined;
    const emptied = moved.within((system) => {
      const reader = new Proxy(system.bucket.reader, {
        get(target, name) {
          if (name === 'list') return async (after: string) => (after === '' ? [] : target.list(after));
          return (Reflect.get(target, name) as () => unknown).bind(target);
        },
      });
      const options = { holder: 'test', by: 'me', dryRun: false, maxPercent: 100, maxAgeMs: WEEK_MS };
      const old = { ...system, bucket: { ...system.bucket, reader } };
      return purge(old, { ...options, full: false, rate: 0 }, signal);
    });
    await expect(emptied).rejects.toMatchObject({ reason: 'BAD_LISTING' });
    expect(await keys()).toEqual(before);
    const told = await runCli(['legacy', 'purge', '--yes'], { cwd: dir, env });
    expect([told.code, told.stderr]).toEqual([1, expect.stringMatching(/ABOVE_MAX_PURGE.*--max-purge \d+/)]);
    expect((await runCli(['legacy', 'purge'], { cwd: dir, env })).code).toBe(2);
  });

  it('keeps an original that somebody wrote over, and its thumbs', async () => {
    const picture = movedFiles.find(({ way }) => way === 'pocketbase')!;
    const { key, content, contentType } = picture;
    const other = Buffer.from(content);
    other[other.length - 1]! ^= 1;
    await legacy.bucket.put(key, other, contentType);
    const [first, ...others] = movedFiles.filter((file) => file !== picture);
    const args = ['legacy', 'purge', '--yes', '--max-purge', '100'];
    const before = await keys();
    await killCommandAt(legacy, { dir, env, point: 'purge.planned' }, args.slice(1));
    // All that it has done is to write its own probe.
    expect((await keys()).filter((one) => !one.startsWith('asset-service-probes/'))).toEqual(before);
    await killCommandAt(legacy, { dir, env, point: 'purge.object-deleted', nth: 3 }, args.slice(1));
    // Another run goes on after the one that was killed.
    const report = join(dir, 'purge.jsonl');
    const done = await runCli([...args, '--json', '--full', '--report', report], { cwd: dir, env });
    expect([done.code, JSON.parse(done.stdout)]).toEqual([
      1,
      expect.objectContaining({ state: 'done', differs: 2, unproven: 0, orphan: legacy.orphans.length }),
    ]);
    const lines = (await readFile(report, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as PurgeLine);
    expect(lines).toContainEqual({ key, status: 'differs', ids: [picture.id], proof: '' });
    expect(lines.filter(({ status }) => status === 'original').every(({ proof }) => proof === 'sha256')).toBe(
      true,
    );
    const left = await keys();
    expect(left).toContain(key);
    expect(
      (await thumbs()).filter((thumb) => thumb.startsWith(`${legacy.collectionId}/${picture.id}/`)),
    ).toHaveLength(1);
    for (const file of [first!, ...others]) expect(left).not.toContain(file.key);
    expect((await moved.within(({ catalog }) => moveStatus(catalog))).state).toBe('locked');
    await legacy.bucket.put(key, content, contentType);
  });

  it('ends with every original of a moved file gone, all else there, and deletes nothing a second time', async () => {
    const { counts } = await run();
    expect(counts).toMatchObject({ original: 1, thumb: 1 });
    const kept = legacy.files.filter((file) => !movedFiles.includes(file) && file.damage !== 'missing');
    expect(await keys()).toEqual([...kept.map(({ key }) => key), ...legacy.orphans].sort());
    const again = await run();
    expect([again.planned, again.counts.original, again.state]).toEqual([0, undefined, 'done']);
    expect(await moved.within(({ catalog }) => moveStatus(catalog))).toMatchObject({
      state: 'purged',
      nextSteps: expect.arrayContaining(['asset-service legacy views create']),
    });
    // The sentinel is removed too.
    expect((await keys()).filter((key) => key.startsWith('asset-service'))).toEqual([]);
    const client = clientOf(service.url);
    for (const { id, content, key } of [...movedFiles.slice(0, 8), legacy.file('broken-relation')]) {
      expect((await download(client, id)).content.equals(content)).toBe(true);
      const { url } = await client.getFileUrl({ source: { case: 'legacyPath', value: key } });
      expect(Buffer.from(await (await fetch(url)).arrayBuffer()).equals(content)).toBe(true);
    }
  });
});
