import { createWorkerClient, type WorkerClient } from '@asset-service/worker';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { eventually } from '../support/eventually.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';
import { startTcpProxy } from '../support/tcp-proxy.ts';
import { randomContent } from './support/calls.ts';
import { endOf, runCli, startCli } from './support/cli.ts';

const content = randomContent(300_000);
const MISSING = 'missing00000000';

let base: string;
let dir: string;
let service: Service;
let worker: WorkerClient;
let id: string;

beforeAll(async () => {
  base = await makeDir('cli-transfer');
  service = await startService();
  worker = createWorkerClient({ baseUrl: service.url });
  ({ id } = await worker.uploadFile(content, { name: '.bashrc' }));
});

afterAll(async () => {
  worker?.close();
  await service?.dispose();
  await removeDir(base);
});

beforeEach(async () => {
  dir = await mkdtemp(join(base, 'case-'));
});

const cli = (args: readonly string[], input?: Uint8Array) =>
  runCli(args, { cwd: dir, env: { ASSET_URL: service.url }, ...(input && { input }) });
const download = (...args: string[]) => cli(['download', ...args]);
const holds = async (path: string) => (await readFile(join(dir, path))).equals(content);
const names = async () => (await readdir(dir)).sort();

describe('a download', () => {
  it('takes a harmless name from the record, and leaves alone what has it', async () => {
    await writeFile(join(dir, '.bashrc'), 'mine');
    expect(await download(id)).toEqual({ code: 0, stdout: 'bashrc\n', stderr: '' });
    expect(await holds('bashrc')).toBe(true);
    await writeFile(join(dir, 'bashrc'), 'changed');
    expect(await download(id)).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(
        /^asset-service: ALREADY_EXISTS: TARGET_EXISTS: bashrc exists/,
      ) as unknown,
    });
    expect(await readFile(join(dir, 'bashrc'), 'utf8')).toBe('changed');
    expect(await readFile(join(dir, '.bashrc'), 'utf8')).toBe('mine');
    expect(await names()).toEqual(['.bashrc', 'bashrc']);
  });

  it('is written where --output says, whatever exists there', async () => {
    await writeFile(join(dir, 'private'), 'x');
    await chmod(join(dir, 'private'), 0o600);
    await writeFile(join(dir, 'target'), 'x');
    await symlink('target', join(dir, 'link'));
    await mkdir(join(dir, 'folder'));
    execFileSync('mkfifo', [join(dir, 'pipe')]);
    // By a process of its own: a pipe that nobody writes to would hold up this one for good.
    const reader = { encoding: 'buffer', timeout: 120_000, maxBuffer: Infinity } as const;
    const piped = promisify(execFile)('cat', [join(dir, 'pipe')], reader);
    const paths = ['new', 'private', 'link', 'folder', 'pipe'];
    const ended = await Promise.all(paths.map((path) => download(id, '-o', path)));
    expect(ended.map(({ code, stdout, stderr }) => [code, stdout, stderr])).toEqual(
      ['new', 'private', 'link', 'folder/bashrc', 'pipe'].map((path) => [0, `${path}\n`, '']),
    );
    for (const path of ['new', 'private', 'target', 'folder/bashrc']) expect(await holds(path)).toBe(true);
    expect((await piped).stdout.equals(content)).toBe(true);
    expect((await stat(join(dir, 'private'))).mode & 0o777).toBe(0o600);
    expect((await lstat(join(dir, 'link'))).isSymbolicLink()).toBe(true);
    expect((await lstat(join(dir, 'pipe'))).isFIFO()).toBe(true);
    expect(await names()).toEqual(['folder', 'link', 'new', 'pipe', 'private', 'target']);
    expect(await download(id, '-o', 'none/x')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/TARGET_FAILED: none\/x .*ENOENT/) as unknown,
    });
  });

  it('goes to standard output, and makes no file', async () => {
    const child = startCli(['download', id, '-o', '-'], { cwd: dir, env: { ASSET_URL: service.url } });
    child.stdin!.end();
    const pieces: Buffer[] = [];
    child.stdout!.on('data', (piece: Buffer) => pieces.push(piece));
    expect((await once(child, 'close'))[0]).toBe(0);
    expect(Buffer.concat(pieces).equals(content)).toBe(true);
    expect(await names()).toEqual([]);
    expect(await download(id, MISSING, '-o', '-')).toMatchObject({ code: 2, stdout: '' });
  });

  it('of several files goes into a directory, and past one that fails', async () => {
    const other = await worker.uploadFile(Buffer.from('other'), { name: 'other.txt' });
    expect(await download(id, MISSING, other.id)).toEqual({
      code: 1,
      stdout: 'bashrc\nother.txt\n',
      stderr: expect.stringMatching(
        new RegExp(`^asset-service: ${MISSING}: NOT_FOUND: FILE_NOT_FOUND: [^\\n]+\\n$`),
      ) as unknown,
    });
    expect(await names()).toEqual(['bashrc', 'other.txt']);
    const json = await download(id, other.id, '-o', '.', '--json');
    expect(json).toMatchObject({ code: 1, stdout: '' });
    expect(await download(id, other.id, '-o', 'one')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('a directory that exists') as unknown,
    });
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('that is ended by %s leaves nothing behind', async (signal) => {
    const large = await worker.uploadFile(randomContent(32 * 2 ** 20), { name: 'large.bin' });
    const proxy = await startTcpProxy(service.url);
    // Slow enough not to be over before it is stalled.
    proxy.delay(20);
    try {
      const child = startCli(['download', large.id], { cwd: dir, env: { ASSET_URL: proxy.address } });
      child.stdin!.end();
      await eventually(async () => {
        const [part] = await names();
        expect((await stat(join(dir, part ?? ''))).isFile()).toBe(true);
        proxy.stall();
      });
      child.kill(signal);
      expect(await endOf(child)).toMatchObject({ code: signal, stdout: '' });
      expect(await names()).toEqual([]);
    } finally {
      await proxy.close();
    }
  });
});

describe('an upload', () => {
  it('takes standard input, small and large, and a pipe', async () => {
    const large = randomContent(20 * 2 ** 20);
    const cases: [Uint8Array, string[]][] = [
      [large, ['upload', '-', '--json']],
      [Buffer.alloc(0), ['upload', '-', '--name', 'empty']],
      [content, ['upload', '-', '--name', 'piped.bin']],
    ];
    for (const [bytes, args] of cases) {
      const { code, stdout, stderr } = await cli(args, bytes);
      expect([code, stderr]).toEqual([0, '']);
      const stored = JSON.parse(stdout) as { id: string; sizeBytes: number; name: string };
      expect(stored).toMatchObject({
        sizeBytes: bytes.length,
        name: args.includes('--name') ? args.at(-1) : '',
      });
      await worker.downloadToFile(stored.id, join(dir, 'back'));
      expect((await readFile(join(dir, 'back'))).equals(bytes)).toBe(true);
    }
    execFileSync('mkfifo', [join(dir, 'pipe')]);
    const writer = promisify(execFile)('sh', ['-c', 'cat back > pipe'], { cwd: dir, timeout: 120_000 });
    const [ended] = await Promise.all([cli(['upload', 'pipe', 'back']), writer]);
    expect(ended.code).toBe(0);
    const sizes = ended.stdout.match(/"sizeBytes":\d+/g);
    expect(sizes).toEqual([`"sizeBytes":${content.length}`, `"sizeBytes":${content.length}`]);
    expect(await cli(['upload', '-', '-'])).toMatchObject({ code: 2, stdout: '' });
  });

  it('of a folder prints each id at once, so that an interruption loses none', async () => {
    await writeFile(join(dir, 'first.txt'), 'first');
    await writeFile(join(dir, 'last.txt'), 'last');
    // Nobody writes into it, so the second upload never ends.
    execFileSync('mkfifo', [join(dir, 'pipe')]);
    const args = ['upload', 'first.txt', 'pipe', 'last.txt', '--concurrency', '1', '--owner', 'interrupted'];
    const child = startCli(args, { cwd: dir, env: { ASSET_URL: service.url } });
    child.stdin!.end();
    const ended = endOf(child);
    const [line] = (await once(child.stdout!, 'data')) as [string];
    const { id: stored, path } = JSON.parse(line) as { id: string; path: string };
    expect(path).toBe('first.txt');
    child.kill('SIGINT');
    expect(await ended).toMatchObject({
      code: 'SIGINT',
      stdout: line,
      stderr: expect.stringMatching(/^1 file, .* interrupted before 2 others\n$/) as unknown,
    });
    const listed: string[] = [];
    for await (const file of worker.listFiles({ owner: 'interrupted' })) listed.push(file.id);
    expect(listed).toEqual([stored]);
  });
});
