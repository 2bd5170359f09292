import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { globSync, readdirSync, readFileSync } from 'node:fs';
import { appendFile, chmod, cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { ROOT } from '../support/install.ts';
import { makeDir, removeDir } from '../support/process.ts';

const PATH = [join(ROOT, 'node_modules', '.bin'), process.env.PATH].join(delimiter);

/** How a command ended, with all that it printed. */
function run(cwd: string, command: string, args: readonly string[], env: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd,
    env: { PATH, HOME: cwd, ...env },
    encoding: 'utf8',
  });
  return { status, output: stdout + stderr, lastLine: stdout.trimEnd().split('\n').at(-1) };
}

/** The caches of Go, for a command whose home is another; empty without Go. */
function goCaches(): Record<string, string> {
  const { status, stdout } = spawnSync('go', ['env', '-json', 'GOCACHE', 'GOMODCACHE'], { encoding: 'utf8' });
  return status === 0 ? (JSON.parse(stdout) as Record<string, string>) : {};
}

const dirs: string[] = [];

async function tempDir(): Promise<string> {
  const dir = await makeDir('repository');
  dirs.push(dir);
  return dir;
}

afterAll(() => Promise.all(dirs.map(removeDir)));

/** A directory with the contract and what it generates. */
async function contractDir(): Promise<string> {
  const dir = await tempDir();
  const generated = ['gen/ts/src', 'gen/ts/cjs', 'gen/go'];
  for (const path of ['buf.yaml', 'buf.gen.yaml', 'proto', 'third_party', ...generated]) {
    await cp(join(ROOT, path), join(dir, path), { recursive: true });
  }
  return dir;
}

describe('the documents', () => {
  const folders = (dir: string) =>
    readdirSync(join(ROOT, dir), { withFileTypes: true }).flatMap((one) =>
      one.isDirectory() ? one.name : [],
    );
  const documents = ['CONTRIBUTING.md', 'README.md', ...globSync('docs/*.md', { cwd: ROOT })];

  /** The paths that braces stand for: `{a,b}.ts` for `a.ts` and `b.ts`. */
  const alternatives = (path: string): string[] => {
    const [braces, names = ''] = /\{([^}]*)\}/.exec(path) ?? [];
    if (braces === undefined) return [path];
    return names.split(',').flatMap((name) => alternatives(path.replace(braces, name)));
  };

  it.each(documents)('name only files that exist: %s', (document) => {
    const [ofRoot, ofSource] = [new Set(folders('.')), new Set(folders('src'))];
    const spans = readFileSync(join(ROOT, document), 'utf8').match(/`[\w.@*{},-]+(\/[\w.@*{},-]*)+`/g) ?? [];
    const missing = spans
      .flatMap((span) => alternatives(span.slice(1, -1)))
      .filter((path) => {
        const [first = ''] = path.split('/');
        // A driver that does not exist is the example of how to add one.
        const isPath = ofRoot.has(first) || ofSource.has(first) || path.endsWith('.ts');
        if (!isPath || path.includes('azure')) return false;
        const cwd = join(ROOT, ofRoot.has(first) ? '.' : 'src');
        return globSync(path.replace(/\/$/, ''), { cwd }).length === 0;
      });
    expect(missing).toEqual([]);
  });

  it('show programs of the READMEs on the page of all clients', () => {
    const page = readFileSync(join(ROOT, 'docs/clients.md'), 'utf8');
    const readmes = ['bff', 'worker'].map((name) =>
      readFileSync(join(ROOT, 'clients', name, 'README.md'), 'utf8'),
    );
    const programs = [...page.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code!);
    expect(programs.length).toBe(2);
    for (const code of programs) expect(readmes.some((readme) => readme.includes(code))).toBe(true);
  });

  it('list no room without files', async () => {
    const { ROOMS } = (await import(join(ROOT, 'rooms.js'))) as {
      readonly ROOMS: readonly { readonly files: string | readonly string[] }[];
    };
    const patterns = ROOMS.flatMap(({ files }) => [files].flat());
    expect(patterns.filter((pattern) => globSync(pattern, { cwd: ROOT }).length === 0)).toEqual([]);
  });
});

describe('the check of compatibility', () => {
  let dir: string;
  const git = (...args: string[]) => {
    const { status, output } = run(dir, 'git', [
      ...['-c', 'user.name=test', '-c', 'user.email=test@example.com', '-c', 'commit.gpgsign=false'],
      ...args,
    ]);
    expect([args[0], status, output]).toEqual([args[0], 0, output]);
  };
  const check = (env?: Record<string, string>) =>
    run(dir, process.execPath, [join(ROOT, 'scripts', 'buf-breaking.js')], env);
  const proto = () => join(dir, 'proto', 'asset', 'v1', 'file.proto');
  const commit = (message: string) => git('commit', '-q', '-a', '-m', message);
  const addMessage = (name: string) =>
    appendFile(proto(), `\n// ${name} is new.\nmessage ${name} {\n  // A text.\n  string text = 1;\n}\n`);
  const removeMessage = async (name: string) =>
    writeFile(proto(), (await readFile(proto(), 'utf8')).replace(new RegExp(`message ${name} {[^}]*}`), ''));

  beforeAll(async () => {
    dir = await contractDir();
    git('init', '-q', '-b', 'main');
    git('add', '.');
    git('commit', '-q', '-m', 'First');
  });

  it('has nothing to say where there is one commit', () => {
    expect(check()).toMatchObject({ status: 0, output: expect.stringContaining('First') });
  });

  it('lets an addition pass, and compares main with the commit before', async () => {
    await addMessage('Addition');
    expect(check().status).toBe(0);
    commit('Second');
    expect(check()).toMatchObject({ status: 0, output: expect.stringContaining('First') });
  });

  it('reports what a commit on main took away', async () => {
    await removeMessage('Addition');
    commit('Third');
    expect(check()).toMatchObject({ status: 1, output: expect.stringContaining('"Addition" was deleted') });
    expect(check({ BUF_BASE: 'HEAD' }).status).toBe(0);
    expect(check({ BUF_BASE: 'nothing' })).toMatchObject({
      status: 1,
      output: expect.stringContaining('BUF_BASE names no commit'),
    });
  });

  it('compares a branch with where it left main', async () => {
    await addMessage('OnMain');
    commit('Fourth');
    git('checkout', '-q', '--detach');
    await removeMessage('OnMain');
    commit('Take away');
    await addMessage('Later');
    commit('Add');
    expect(check()).toMatchObject({ status: 1, output: expect.stringContaining('"OnMain" was deleted') });
  });
});

describe('the check of generated code', () => {
  let dir: string;
  const check = () => run(dir, process.execPath, [join(ROOT, 'scripts', 'check-generated.js')], goCaches());
  const generated = () => join(dir, 'gen', 'ts', 'src', 'asset', 'v1', 'file_pb.js');
  const withoutGo = spawnSync('go', ['version']).status !== 0;

  beforeAll(async () => {
    dir = await contractDir();
  });

  it('passes what the contract generates', () => {
    const output = withoutGo ? 'gen/go was not checked: Go is not installed\n' : '';
    expect(check()).toMatchObject({ status: 0, output });
  });

  it('reports files that are changed', async () => {
    await appendFile(generated(), '// by hand\n');
    await appendFile(join(dir, 'gen', 'go', 'asset', 'v1', 'file.pb.go'), '// by hand, in Go\n');
    const { status, output } = check();
    expect([status, output]).toEqual([1, expect.stringContaining('// by hand\n')]);
    expect(output).toContain(withoutGo ? 'gen/go was not checked' : '// by hand, in Go\n');
  });

  it('reports a file that is left over or missing', async () => {
    await rm(generated());
    await writeFile(join(dir, 'gen', 'ts', 'src', 'stray.js'), '');
    const { status, output } = check();
    expect([status, output]).toEqual([1, expect.stringContaining('file_pb.js')]);
    expect(output).toContain('stray.js');
  });
});

describe('the end of the tests', () => {
  async function jest(files: Record<string, string>, env: Record<string, string> = {}) {
    const dir = await tempDir();
    await writeFile(join(dir, 'package.json'), '{}');
    await writeFile(
      join(dir, 'teardown.js'),
      `module.exports = async () => console.log('the teardown speaks');`,
    );
    for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text);
    const config = JSON.stringify({
      rootDir: dir,
      transform: {},
      globalTeardown: './teardown.js',
      testRunner: join(ROOT, 'test', 'support', 'bounded-runner.js'),
      workerIdleMemoryLimit: '500MB',
      forceExit: true,
      reporters: ['default', join(ROOT, 'test', 'support', 'closing-line-reporter.js')],
    });
    const jestProgram = join(ROOT, 'node_modules', 'jest', 'bin', 'jest.js');
    const args = ['--experimental-vm-modules', jestProgram, '--config', config];
    return run(dir, process.execPath, args, env);
  }

  it('counts, names what was skipped, and comes last', async () => {
    const { status, output, lastLine } = await jest({
      'a.test.js': `test('a', () => {}); test('b', () => {}); test.skip('left out', () => {});`,
    });
    expect([status, lastLine]).toEqual([0, '2 passed, 0 failed, 1 skipped']);
    expect(output).toContain('the teardown speaks');
    expect(output).toContain('Skipped:\n  left out (a.test.js)');
  });

  it('counts a teardown that fails as a failure', async () => {
    const { status, lastLine } = await jest({
      'a.test.js': `test('a', () => {});`,
      'teardown.js': `module.exports = async () => { throw new Error('no'); };`,
    });
    expect([status, lastLine]).toEqual([1, '1 passed, 1 failed']);
  });

  it('counts a file that cannot be run as a failure', async () => {
    const { status, lastLine } = await jest({
      'a.test.js': `test('a', () => {}); test('b', () => { throw new Error('no'); });`,
      'b.test.js': `throw new Error('cannot be loaded');`,
    });
    expect([status, lastLine]).toEqual([1, '1 passed, 2 failed']);
  });

  it('fails a file that hangs by its name, runs the others, and names the slowest files', async () => {
    const { status, output, lastLine } = await jest(
      {
        'hangs.test.mjs': `await new Promise(() => {});`,
        'spins.test.js': `test('spins', async () => { for (;;) await undefined; });`,
        'b.test.js': `test('b', () => {});`,
      },
      { ASSET_TEST_FILE_SECONDS: '1' },
    );
    expect([status, lastLine]).toEqual([1, '1 passed, 2 failed']);
    expect(output).toContain('spins.test.js holds its thread and did not end within 1 s');
    expect(output).toMatch(/FAIL .*spins\.test\.js/);
    expect(output).toContain('hangs.test.mjs did not end within 1 s');
    expect(output).toMatch(/Slowest files:\n +\d+\.\d s {2}b\.test\.js\n/);
  });

  it('fails a file that leaves a server or a timer open by its name, and ends', async () => {
    const { status, output, lastLine } = await jest(
      {
        'server.test.js': `test('a', () => void require('node:http').createServer().listen(0));`,
        'timer.test.js': `test('b', () => void setTimeout(() => {}, 3_600_000));`,
        'closes.test.js': `test('c', () => { setTimeout(() => {}, 100); setInterval(() => {}, 10).unref(); });`,
      },
      { ASSET_TEST_CLOSING_SECONDS: '1' },
    );
    expect([status, lastLine]).toEqual([1, '1 passed, 2 failed']);
    expect(output).toContain('server.test.js leaves open what keeps the process alive: 1 × TCPServerWrap');
    expect(output).toContain('timer.test.js leaves open what keeps the process alive: 1 × Timeout');
  });
});

describe('.ci/run', () => {
  /** Runs it with an npm that does what `script` says, a piece of a shell's `case "$*"`. */
  async function ci(script: string) {
    const dir = await tempDir();
    await mkdir(join(dir, '.ci'));
    await cp(join(ROOT, '.ci', 'run'), join(dir, '.ci', 'run'));
    await mkdir(join(dir, 'bin'));
    const npm = join(dir, 'bin', 'npm');
    await writeFile(npm, `#!/bin/sh\ncase "$*" in\n${script}\nesac\n`);
    await chmod(npm, 0o755);
    return run(dir, '/bin/bash', [join(dir, '.ci', 'run')], { PATH: `${dir}/bin:/usr/bin:/bin` });
  }

  it('ends with the line of the tests', async () => {
    const { status, output, lastLine } = await ci(`test*) echo '3 passed, 0 failed, 1 skipped' ;;`);
    expect([status, lastLine]).toEqual([0, '3 passed, 0 failed, 1 skipped']);
    expect([...output.matchAll(/^== ([a-z ]+): ok/gm)].map(([, name]) => name)).toEqual([
      'install',
      'format',
      'lint',
      'types',
      'contract',
      'contract compatibility',
      'generated code',
      'packages',
      'settings page',
      'dependencies',
    ]);
  });

  it('fails with failing tests', async () => {
    const { status, lastLine } = await ci(`test*) echo '3 passed, 2 failed'; exit 1 ;;`);
    expect([status, lastLine]).toEqual([1, '3 passed, 2 failed']);
  });

  it('stops at a step that fails, before the tests, and says which', async () => {
    const { status, output, lastLine } = await ci(
      `*lint) echo 'a mistake' >&2; exit 3 ;;\n test*) echo '3 passed, 0 failed' ;;`,
    );
    expect([status, lastLine]).toEqual([3, '0 passed, 1 failed']);
    expect(output).toContain('a mistake');
    expect(output).toContain('FAILED: lint');
    expect(output).not.toContain('3 passed');
  });

  it('does not take tests that end without the line for passed ones', async () => {
    const { status, lastLine } = await ci(`test*) echo 'killed' ;;`);
    expect([status, lastLine]).toEqual([1, '0 passed, 1 failed']);
  });
});
