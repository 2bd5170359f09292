import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createWorkerClient } from '@asset-service/worker';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '../support/install.ts';
import { freePort } from '../support/ports.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';
import { randomContent } from './support/calls.ts';
import { endOf, runCli, runOnTerminal, screenOf, startCli, type Ended } from './support/cli.ts';

let dir: string;
let service: Service;
let ids: string[];
const content = randomContent(3 * 2 ** 20);
const OWNER = 'many';

beforeAll(async () => {
  dir = await makeDir('cli-output');
  service = await startService();
  await mkdir(join(dir, 'tree'));
  for (const name of ['a.bin', 'b.bin', 'c.bin']) await writeFile(join(dir, 'tree', name), content);
  await using worker = createWorkerClient({ baseUrl: service.url });
  const source = Buffer.from('x');
  const attributes = { text: 'y'.repeat(4_000) };
  // Records enough to fill a pipe several times over.
  const results = await worker.uploadFiles(
    Array.from({ length: 60 }, (_none, i) => ({ source, name: `${i}.txt`, owner: OWNER, attributes })),
  );
  ids = results.map(({ file }) => file!.id);
});

afterAll(async () => {
  await service?.dispose();
  await removeDir(dir);
});

const env = () => ({ ASSET_URL: service.url });
const cli = (...args: string[]) => runCli(args, { cwd: dir, env: env() });
const terminal = (...args: string[]) => runOnTerminal(args, { cwd: dir, env: env() });
const linesOf = ({ stdout }: Ended) => stdout.split('\n').filter((line) => line !== '');

describe('a reader of the output that closes it', () => {
  it.each([
    ['list', ['list', '--owner', OWNER]],
    ['list as a table', ['list', '--owner', OWNER, '--table']],
    ['--help', ['--help']],
    ['upload --help', ['upload', '--help']],
    ['config', ['config']],
    ['completion', ['completion', 'zsh']],
    ['health', ['health']],
  ])('ends %s quietly', async (_what, args) => {
    const child = startCli(args, { cwd: dir, env: env() });
    // At once: nothing at all can be written.
    child.stdout!.destroy();
    child.stdin!.end();
    expect(await endOf(child)).toMatchObject({ code: 0, stderr: '' });
  });

  it('stops a list after the first lines, and a download to standard output', async () => {
    for (const args of [
      ['list', '--owner', OWNER],
      ['show', ...ids],
      ['download', ids[0]!, '-o', '-'],
    ]) {
      const child = startCli(args, { cwd: dir, env: env() });
      child.stdin!.end();
      const ended = endOf(child);
      child.stdout!.once('data', () => child.stdout!.destroy());
      expect(await ended).toMatchObject({ code: 0, stderr: '' });
    }
  });

  it('accepts all requested work: every file is stored', async () => {
    const child = startCli(['upload', 'tree', '--owner', 'unread'], { cwd: dir, env: env() });
    child.stdout!.destroy();
    child.stdin!.end();
    expect(await endOf(child)).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/^3 files/) as unknown,
    });
    expect(linesOf(await cli('list', '--owner', 'unread'))).toHaveLength(3);
  });

  it('of the log ends no service before its time, nor with another code than 0', async () => {
    const port = await freePort();
    const data = await mkdtemp(join(dir, 'data-'));
    const child = startCli(['serve'], {
      cwd: data,
      env: { ASSET_LISTEN: `127.0.0.1:${port}`, ASSET_DATA_DIR: data, ASSET_AUDIT_LOG: 'stdout' },
    });
    child.stdout!.setEncoding('utf8');
    for (let log = ''; !log.includes('listening');) log += String((await once(child.stdout!, 'data'))[0]);
    child.stdout!.destroy();
    await using worker = createWorkerClient({ baseUrl: `http://127.0.0.1:${port}` });
    for (let call = 0; call < 3; call++) await worker.uploadFile(Buffer.from('x'), { name: 'x' });
    child.kill('SIGTERM');
    expect(await endOf(child)).toMatchObject({ code: 0, stderr: '' });
  });
});

describe('output to a pipe', () => {
  it('is complete, with one line per file', async () => {
    const { stdout, code } = await cli('list', '--owner', OWNER);
    expect(code).toBe(0);
    const listed = stdout
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { id: string }).id);
    expect(new Set(listed)).toEqual(new Set(ids));
    const shown = linesOf(await cli('show', ...ids));
    expect(shown.map((line) => (JSON.parse(line) as { id: string }).id)).toEqual(ids);
  });

  it('is only ids with --quiet', async () => {
    expect(new Set(linesOf(await cli('list', '--owner', OWNER, '-q')))).toEqual(new Set(ids));
    const [one] = linesOf(await cli('upload', join('tree', 'a.bin'), '--owner', 'quiet', '-q'));
    const others = linesOf(await cli('upload', 'tree', '--owner', 'quiet', '--quiet'));
    expect(new Set(linesOf(await cli('list', '--owner', 'quiet', '-q')))).toEqual(new Set([one, ...others]));
    expect(await cli('list', '-q', '--json')).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining("'-q, --quiet' cannot be used with option '--json'"),
    });
  });
});

describe('a terminal', () => {
  it('shows the record of an upload on lines of its own, after the progress', async () => {
    const ended = await terminal('upload', 'tree/a.bin', '--owner', 'terminal');
    expect(ended.code).toBe(0);
    expect(ended.stdout).toContain('% of 3.0 MiB');
    const screen = screenOf(ended.stdout).join('\n');
    expect(JSON.parse(screen)).toMatchObject({ name: 'a.bin', owner: 'terminal' });
  });

  it('shows a line for each file of a folder, and the summary', async () => {
    const ended = await terminal('upload', 'tree', '--owner', 'terminals');
    expect(ended.code).toBe(0);
    expect(ended.stdout).toContain('3/3 files');
    const screen = screenOf(ended.stdout);
    expect(screen.pop()).toMatch(/^3 files, 9\.0 MiB in [\d.]+ s, 0 failed$/);
    const stored = screen.map((line) => (JSON.parse(line) as { path: string }).path);
    expect(stored.sort()).toEqual(['tree/a.bin', 'tree/b.bin', 'tree/c.bin']);
  });

  it('gets a table of records and the fields of one, unless JSON is asked for', async () => {
    await using worker = createWorkerClient({ baseUrl: service.url });
    const name = `${'漢字'.repeat(30)}.txt`;
    const { id } = await worker.uploadFile(Buffer.from('x'), {
      name,
      owner: 'tables',
      relations: { p: ['1'] },
    });
    const args = ['list', '--owner', 'tables'];
    const [table, json, piped, fields] = await Promise.all([
      terminal(...args),
      terminal(...args, '--json'),
      cli(...args, '--table'),
      terminal('get', id),
    ]);
    const [head, row] = screenOf(table.stdout);
    expect(head).toMatch(/^ID +NAME +TYPE +SIZE +OWNER +USAGE +CREATED$/);
    expect(row).toMatch(
      new RegExp(`^${id}  (?:漢字)+漢?… +text/plain +1 B  tables +\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d$`),
    );
    expect(linesOf(piped)[0]).toMatch(/^ID +NAME/);
    expect(JSON.parse(json.stdout)).toMatchObject({ id, name });
    const shown = screenOf(fields.stdout);
    expect(shown[0]).toBe(`id           ${id}`);
    expect(shown).toContain('relations.p  1');
  });

  it('shows no control characters of file names', async () => {
    await using worker = createWorkerClient({ baseUrl: service.url });
    // A text in an attribute may hold anything.
    const { id } = await worker.uploadFile(Buffer.from('x'), {
      name: 'x',
      attributes: { note: '\u001b[2Jgone\r\u009b31m' },
    });
    const { stdout } = await terminal('show', id);
    expect(stdout).toContain('gone');
    expect(stdout).not.toContain('\u001b[2J');
    expect(stdout).not.toContain('\u009b');
  });
});

describe('completion', () => {
  it('offers commands, options and values in bash', async () => {
    const { stdout: script } = await cli('completion', 'bash');
    await writeFile(join(dir, 'completion.bash'), script);
    const offered = async (...words: string[]) => {
      const code = `source completion.bash
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _asset_service; printf '%s\\n' "\${COMPREPLY[@]}"`;
      const child = spawn('bash', ['--norc', '-c', code, 'bash', 'asset-service', ...words], { cwd: dir });
      const { stdout, stderr } = await endOf(child);
      expect(stderr).toBe('');
      return stdout.trim().split('\n');
    };
    expect(await offered('up')).toEqual(['upload']);
    expect(await offered('')).toEqual(
      expect.arrayContaining(['serve', 'download', 'completion', '--version']),
    );
    expect(await offered('upload', '--req')).toEqual(['--request-id']);
    expect(await offered('upload', '--transport', '')).toEqual(['grpc', 'connect', 'grpc-web']);
    expect(await offered('upload', 'x')).toEqual(['']);
    expect(await offered('completion', '')).toEqual(['bash', 'zsh', 'fish']);
  });

  it.each(['zsh', 'fish'])('is printed for %s', async (shell) => {
    const { code, stdout } = await cli('completion', shell);
    expect(code).toBe(0);
    expect(stdout).toContain('upload');
    await writeFile(join(dir, `completion.${shell}`), stdout);
    // Where the shell is installed it reads the script.
    const checker = spawn(shell, ['-n', `completion.${shell}`], { cwd: dir });
    const ended = await new Promise<Ended | undefined>((resolve) => {
      checker.once('error', () => resolve(undefined));
      void endOf(checker).then(resolve);
    });
    if (ended !== undefined) expect(ended).toMatchObject({ code: 0, stderr: '' });
  });

  it('says which shells there are', async () => {
    expect(await cli('completion', 'csh')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('bash, zsh, fish') as unknown,
    });
  });
});

describe('the version', () => {
  it('is that of the package', async () => {
    const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    expect(await cli('--version')).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });
});
