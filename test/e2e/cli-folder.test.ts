import { createWorkerClient } from '@asset-service/worker';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile, spawn } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '../support/install.ts';
import { makeDir, removeDir, programEnv } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';
import { randomContent } from './support/calls.ts';
import { eventually } from '../support/eventually.ts';

const MAIN = join(ROOT, 'src', 'main.ts');

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

describe('the upload of a folder from the command line', () => {
  let dir: string;
  let service: Service;

  beforeAll(async () => {
    dir = await makeDir('cli-folder');
    await mkdir(join(dir, 'tree', 'deep', 'er'), { recursive: true });
    await mkdir(join(dir, 'tree', '.git'));
    const files = ['b.txt', 'a.txt', 'deep/c.txt', 'deep/er/d.txt', '.hidden', '.git/config'];
    for (const file of files) await writeFile(join(dir, 'tree', file), `content of ${file}`);
    await writeFile(join(dir, 'alone.bin'), randomContent(9 * 2 ** 20));
    await symlink('..', join(dir, 'tree', 'deep', 'up'));
    service = await startService();
  });

  afterAll(async () => {
    await service.dispose();
    await removeDir(dir);
  });

  const env = () => ({ ...programEnv(), ASSET_URL: service.url });

  function upload(...args: string[]): Promise<Ended> {
    return new Promise((resolve) => {
      const options = { cwd: dir, env: env(), timeout: 120_000 };
      execFile(process.execPath, [MAIN, 'upload', ...args], options, (error, stdout, stderr) => {
        resolve({ code: error ? Number(error.code ?? 1) : 0, stdout, stderr });
      });
    });
  }

  const lines = ({ stdout }: Ended) =>
    stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { path: string; id: string; name: string; sizeBytes: number });

  /** Folders come in the order in which they were named, and their files by name. */
  const order = (path: string) =>
    ['tree/a.txt', 'tree/b.txt', 'tree/deep/c.txt', 'tree/deep/er/d.txt', 'alone.bin'].indexOf(path);

  it('stores every file that is not hidden, prints each and a summary', async () => {
    const ended = await upload('tree', 'alone.bin', '--usage', 'folder', '--path-attribute', 'path');
    expect(ended.stderr).toMatch(/^5 files, 9\.0 MiB in \d+\.\d s, 0 failed\n$/);
    expect(ended.code).toBe(0);
    // Each is printed when it is stored, in whatever order that is.
    const stored = lines(ended).sort((one, other) => order(one.path) - order(other.path));
    expect(stored.map(({ path }) => path)).toEqual([
      'tree/a.txt',
      'tree/b.txt',
      'tree/deep/c.txt',
      'tree/deep/er/d.txt',
      'alone.bin',
    ]);
    expect(stored[3]).toMatchObject({
      name: 'd.txt',
      usage: 'folder',
      attributes: { path: 'deep/er/d.txt' },
    });
    expect(stored[4]).toMatchObject({ sizeBytes: 9 * 2 ** 20, attributes: { path: 'alone.bin' } });
    await using worker = createWorkerClient({ baseUrl: service.url });
    const ids = new Set<string>();
    for await (const file of worker.listFiles({ usage: 'folder' })) ids.add(file.id);
    expect(ids).toEqual(new Set(stored.map(({ id }) => id)));
  });

  it('takes hidden files with --all, and makes no second file when it is repeated', async () => {
    const args = ['tree', '--all', '--request-id', 'twice', '--concurrency', '2'];
    const ids = (ended: Ended) => new Map(lines(ended).map(({ path, id }) => [path, id]));
    const first = ids(await upload(...args));
    expect(first.has('tree/.git/config')).toBe(true);
    expect(first.size).toBe(6);
    expect(ids(await upload(...args))).toEqual(first);
  });

  it('continues after a failure, reports it and ends with exit code 1', async () => {
    const ended = await upload('none.txt', 'tree', 'neither');
    expect(ended.code).toBe(1);
    expect(lines(ended)).toHaveLength(4);
    expect(ended.stderr).toMatch(/asset-service: none\.txt: .*ENOENT/);
    expect(ended.stderr).toContain('asset-service: neither: ');
    expect(ended.stderr).toMatch(/4 files, .* 2 failed\n$/);
  });

  it('reports names that are not UTF-8, and uploads the others', async () => {
    const folder = join(dir, 'latin');
    await mkdir(folder);
    const named = (name: string) => Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name, 'latin1')]);
    await mkdir(named('caf\xe9'));
    for (const name of ['caf\xe9/inside.txt', 'r\xe9sum\xe9.txt', 'plain.txt'])
      await writeFile(named(name), name);
    const ended = await upload('latin');
    expect(ended.code).toBe(1);
    expect(lines(ended).map(({ path }) => path)).toEqual(['latin/plain.txt']);
    expect(ended.stderr).toContain('asset-service: latin/caf\\xE9: its name is not UTF-8');
    expect(ended.stderr).toContain('asset-service: latin/r\\xE9sum\\xE9.txt: its name is not UTF-8');
    expect(ended.stderr).toMatch(/1 file, .* 2 failed\n$/);
  });

  it('says which words do not go together, and does nothing', async () => {
    expect(await upload('tree', '--name', 'x')).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('--name') as unknown,
    });
    expect(await upload('tree', '--concurrency', '0')).toMatchObject({ code: 2, stdout: '' });
    expect(await upload()).toMatchObject({ code: 2, stdout: '' });
  });

  it('goes on with a large file where a process that was killed left it', async () => {
    await writeFile(join(dir, 'large.bin'), randomContent(256 * 2 ** 20));
    const earlier = service.logLines().length;
    const args = ['upload', 'large.bin', '--request-id', 'killed'];
    const child = spawn(process.execPath, [MAIN, ...args], { cwd: dir, env: env(), stdio: 'ignore' });
    const exited = new Promise((resolve) => child.once('exit', resolve));
    const uploadId = await eventually(() => {
      const started = service
        .logLines()
        .slice(earlier)
        .find((line) => typeof line['upload_id'] === 'string');
      expect(started).toBeDefined();
      return String(started!['upload_id']);
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    child.kill('SIGKILL');
    await exited;
    const ended = await upload(...args.slice(1));
    expect(ended.code).toBe(0);
    expect(JSON.parse(ended.stdout)).toMatchObject({
      id: uploadId,
      sizeBytes: 256 * 2 ** 20,
      name: 'large.bin',
    });
  }, 120_000);
});
