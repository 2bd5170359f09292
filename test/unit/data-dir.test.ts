import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readdir, stat, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { checkCatalog } from '../../src/app/catalog.ts';
import { deepSweepOnce, sweepOnce } from '../../src/app/sweep.ts';
import { openSqliteCatalog } from '../../src/catalog/sql/sqlite.ts';
import { explainFailure } from '../../src/config/explain.ts';
import { loadConfig } from '../../src/config/config.ts';
import { openLog } from '../../src/telemetry/log.ts';
import { FilesystemBlobStore } from '../../src/storage/filesystem/filesystem-store.ts';
import { loadSigningKey, SignedUrls } from '../../src/storage/signed-url.ts';
import { createFile, getFile, newId } from '../conformance/file-catalog/subject.ts';
import { ROOT } from '../support/install.ts';
import { makeDir, removeDir } from '../support/process.ts';

const urls = new SignedUrls('http://x', Buffer.alloc(32));
const TYPE = { contentType: 'text/plain' };
const body = (size = 3) => ({ sizeBytes: size, chunks: [Buffer.alloc(size, 1)] });
const multipart = { ...TYPE, partSizeBytes: 1024 };

/** More than any disk has. */
const HUGE = 2 ** 50;

describe('the data directory', () => {
  let parent: string;
  let dir: string;

  beforeEach(async () => {
    parent = await makeDir('data-dir');
    dir = join(parent, 'a', 'data');
  });

  afterEach(() => removeDir(parent));

  /** Modes of all that lies in the directory, as octal text. */
  async function modes(): Promise<{ dirs: Set<string>; files: Set<string> }> {
    const found = { dirs: new Set<string>(), files: new Set<string>() };
    const add = async (path: string, isDir: boolean) =>
      (isDir ? found.dirs : found.files).add(((await stat(path)).mode & 0o7777).toString(8));
    await add(dir, true);
    for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
      await add(join(entry.parentPath, entry.name), entry.isDirectory());
    }
    return found;
  }

  /** Puts something of everything into it, and leaves it there. */
  async function use(): Promise<() => Promise<void>> {
    const store = new FilesystemBlobStore(dir, urls);
    const catalog = openSqliteCatalog({ path: join(dir, 'catalog.sqlite') });
    await catalog.migrate();
    await createFile(catalog);
    loadSigningKey(join(dir, 'url-signing.key'));
    await store.put('assets/ab/one', body(), TYPE);
    for (const key of ['assets/cd/two', 'assets/cd/three']) {
      const id = await store.startMultipart(key, multipart);
      const part = await store.putPart(key, id, 1, body(1024));
      if (key.endsWith('two')) await store.completeMultipart(key, id, [part]);
    }
    await store.check();
    return () => catalog.close();
  }

  it.each([0o000, 0o022, 0o077])('is for the user of the service alone with a umask of %o', async (umask) => {
    const before = process.umask(umask);
    try {
      const close = await use();
      expect(await modes()).toEqual({ dirs: new Set(['700']), files: new Set(['600']) });
      await close();
    } finally {
      process.umask(before);
    }
  });

  it('is closed to other users where an earlier version left it open, except for the directory itself', async () => {
    await mkdir(join(dir, 'blobs'), { recursive: true });
    for (const name of ['catalog.sqlite', 'url-signing.key']) await writeFile(join(dir, name), '');
    for (const name of ['', 'blobs', 'catalog.sqlite', 'url-signing.key'])
      await chmod(join(dir, name), 0o755);
    const close = await use();
    const { dirs, files } = await modes();
    expect(dirs).toEqual(new Set(['755', '700']));
    expect((await stat(join(dir, 'blobs'))).mode & 0o777).toBe(0o700);
    for (const file of files) expect(Number.parseInt(file, 8) & 0o077).toBe(0);
    await close();
  });

  describe('on a disk that is about to run full', () => {
    it('takes no new blobs, and goes on with those it has', async () => {
      const before = new FilesystemBlobStore(dir, urls);
      await before.put('assets/ab/one', body(), TYPE);
      const id = await before.startMultipart('assets/ab/two', multipart);
      const part = await before.putPart('assets/ab/two', id, 1, body(1024));
      const unfinished = await readdir(join(dir, 'unfinished', id));

      const store = new FilesystemBlobStore(dir, urls, HUGE);
      const refused = { reason: 'STORE_UNAVAILABLE', message: expect.stringContaining('no room') };
      await expect(store.put('assets/ab/new', body(), TYPE)).rejects.toMatchObject(refused);
      await expect(store.startMultipart('assets/ab/new', multipart)).rejects.toMatchObject(refused);
      await expect(store.putPart('assets/ab/two', id, 2, body(10))).rejects.toMatchObject(refused);
      await expect(store.check()).rejects.toMatchObject({
        ...refused,
        cause: { message: expect.stringContaining('ASSET_MIN_FREE_SPACE') },
      });
      expect(await store.stat('assets/ab/new')).toBeUndefined();
      expect(await readdir(join(dir, 'unfinished'))).toEqual([id]);
      expect(await readdir(join(dir, 'unfinished', id))).toEqual(unfinished);

      expect((await (await store.read('assets/ab/one')).toArray()).length).toBeGreaterThan(0);
      expect(await store.completeMultipart('assets/ab/two', id, [part])).toBe('created');
      await store.delete('assets/ab/one');
      expect(await store.stat('assets/ab/one')).toBeUndefined();
      // The size of what comes counts, too.
      const { bavail, bsize } = await statfs(dir);
      const almost = new FilesystemBlobStore(dir, urls, 1);
      const endless = { sizeBytes: bavail * bsize * 2, chunks: [] };
      await expect(almost.put('assets/ab/new', endless, TYPE)).rejects.toMatchObject(refused);
      await new FilesystemBlobStore(dir, urls, 0).check();
    });

    it('takes no new records, and goes on with those it has', async () => {
      await mkdir(dir, { recursive: true });
      const path = join(dir, 'catalog.sqlite');
      const before = openSqliteCatalog({ path });
      await before.migrate();
      const file = await createFile(before);
      await before.close();
      const catalog = openSqliteCatalog({ path, minFreeBytes: HUGE });
      const refused = { reason: 'CATALOG_UNAVAILABLE', message: expect.stringContaining('no room') };
      await expect(catalog.uploads.reserve([newId()], new Date(2 ** 42))).rejects.toMatchObject(refused);
      const session = { id: newId(), state: 1, expireTime: new Date(2 ** 42) };
      await expect(catalog.uploads.open(session)).rejects.toMatchObject(refused);
      await expect(catalog.check()).rejects.toMatchObject(refused);
      expect((await getFile(catalog, file.id)).name).toBe(file.name);
      const time = new Date();
      const { revision } = await catalog.update(file.id, file.revision, {
        deleteTime: time,
        purgeTime: time,
      });
      expect(await catalog.purge(file.id, revision)).toBe(true);
      await catalog.close();
    });

    it('stores nothing half when the system takes no more in the middle of a write', async () => {
      const script = join(parent, 'full.mjs');
      // A bound on the size of files fails in the middle of a write, as a full disk does.
      await writeFile(
        script,
        `
        const root = ${JSON.stringify(pathToFileURL(join(ROOT, 'src', 'storage')).href)};
        const { FilesystemBlobStore } = await import(root + '/filesystem/filesystem-store.ts');
        const { SignedUrls } = await import(root + '/signed-url.ts');
        const store = new FilesystemBlobStore(process.argv[2], new SignedUrls('http://x', Buffer.alloc(32)));
        const body = (size) => ({ sizeBytes: size, chunks: Array(size / 2 ** 20).fill(Buffer.alloc(2 ** 20)) });
        const told = [];
        const tell = (promise) => promise.then(() => told.push('stored'), (error) => told.push(error.reason));
        await tell(store.put('assets/ab/small', body(2 ** 20), { contentType: 'text/plain' }));
        await tell(store.put('assets/ab/large', body(2 ** 24), { contentType: 'text/plain' }));
        const id = await store.startMultipart('assets/ab/parts', { contentType: 'text/plain', partSizeBytes: 2 ** 24 });
        await tell(store.putPart('assets/ab/parts', id, 1, body(2 ** 24)));
        told.push((await store.listParts('assets/ab/parts', id)).length);
        console.log(JSON.stringify(told));
      `,
      );
      const command = 'ulimit -f 8192 && exec "$0" "$@"';
      const child = spawn('/bin/sh', ['-c', command, process.execPath, script, dir], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const [output] = (await once(child.stdout, 'data')) as [Buffer];
      expect(JSON.parse(output.toString())).toEqual(['stored', 'STORE_UNAVAILABLE', 'STORE_UNAVAILABLE', 0]);
      expect(await readdir(join(dir, 'blobs', 'assets', 'ab'))).toEqual(['small~']);
      const store = new FilesystemBlobStore(dir, urls);
      await store.abortMultiparts('assets/ab/parts');
      expect(await readdir(join(dir, 'unfinished'))).toEqual([]);
    });
  });
});

describe('a command beside the service', () => {
  let parent: string;

  beforeEach(async () => {
    parent = await makeDir('data-dir-commands');
  });

  afterEach(() => removeDir(parent));

  it('sweeps no directory without a catalog, and makes none', async () => {
    const config = loadConfig({ ASSET_DATA_DIR: join(parent, 'data') });
    const log = openLog('silent');
    const none = () => undefined;
    const told = { onFound: none, onRemoved: none, onDone: none };
    const deep = { ...told, dryRun: true, graceMs: 0, ratePerSecond: 500 };
    for (const sweep of [
      () => sweepOnce(config, { dryRun: true }, log),
      () => sweepOnce(config, { dryRun: false }, log),
      () => deepSweepOnce(config, deep, AbortSignal.timeout(5000), log),
    ]) {
      const failure: unknown = await sweep().catch((error: unknown) => error);
      expect(explainFailure(failure, config)).toMatch(
        /^ASSET_DATA_DIR: .*catalog\.sqlite: there is nothing at this path \(ENOENT\)/,
      );
    }
    expect(await readdir(parent)).toEqual([]);
  });

  it('checks that the directory can be one, and makes none', async () => {
    const file = join(parent, 'file');
    await writeFile(file, '');
    for (const dir of [file, join(file, 'data')]) {
      const config = loadConfig({ ASSET_DATA_DIR: dir });
      const failure: unknown = await checkCatalog(config).catch((error: unknown) => error);
      expect(explainFailure(failure, config)).toMatch(/^ASSET_DATA_DIR: .*no directory \(ENOTDIR\)/);
    }
    await expect(checkCatalog(loadConfig({ ASSET_DATA_DIR: join(parent, 'data') }))).resolves.toEqual([]);
    expect(await readdir(parent)).toEqual(['file']);
  });

  it.each([
    ['the data directory', 'src/system/private-files.ts', `makePrivateDir('/proc/asset/data')`],
    [
      'the audit log',
      'src/audit/open-audit.ts',
      `await openAudit({ destination: '/proc/asset/data/audit.log' }, { error: console.error })`,
    ],
    ['the keys of dev-token', 'src/cli/dev-keys.ts', `await developmentKey('/proc/asset/data/keys.json')`],
  ])('is not created for ever where the system takes no directory: %s', (_name, path, call) => {
    if (process.platform !== 'linux') return;
    const module = pathToFileURL(join(ROOT, path)).href;
    const [name] = /\w+(?=\()/.exec(call)!;
    const code = `const { ${name} } = await import(${JSON.stringify(module)}); ${call};`;
    const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
      timeout: 120_000,
      encoding: 'utf8',
    });
    expect(status).toBe(1);
    expect(stderr).toMatch(/ENOENT.*\/proc\/asset|\/proc\/asset.*ENOENT/);
  });
});
