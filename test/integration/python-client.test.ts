import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { POCKETBASE, type Setup } from '../e2e/support/setups.ts';
import { ROOT } from '../support/install.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { preparePython } from '../support/python.ts';

const PROJECT = join(ROOT, 'clients', 'python');

/** Longest run of one tool, in milliseconds. */
const LIMIT_MS = 5 * 60_000;

const prepared = await preparePython(join(PROJECT, 'requirements-test.txt'));

/** Fails with what the tool printed. The tool is ended with everything that it started. */
async function run(command: string, args: string[], env: Record<string, string> = {}): Promise<string> {
  const child = spawn(command, args, {
    cwd: PROJECT,
    detached: true,
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  const end = () => {
    try {
      process.kill(-child.pid!, 'SIGKILL');
    } catch {
      // The whole group has ended.
    }
  };
  const timer = setTimeout(end, LIMIT_MS);
  const code = await new Promise((resolve) => child.once('exit', resolve));
  clearTimeout(timer);
  end();
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${String(code)}:\n${output}`);
  return output;
}

const title = 'the Python client, installed from its wheel';
if ('missing' in prepared) {
  it.skip(`${title}: ${prepared.missing}`, () => {});
} else {
  const { python } = prepared;

  describe(title, () => {
    let dir: string;
    let env: Record<string, string>;

    beforeAll(async () => {
      dir = await makeDir('python-client');
      await run(python, ['-m', 'build', '--wheel', '--no-isolation', '--outdir', dir, '.']);
      const [wheel, ...others] = (await readdir(dir)).filter((name) => name.endsWith('.whl'));
      expect(others).toEqual([]);
      expect(wheel).toMatch(/^asset_service-\d+\.\d+\.\d+-py3-none-any\.whl$/);
      const packages = join(dir, 'packages');
      const install = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--no-index', '--target', packages];
      await run(python, [...install, join(dir, wheel!)]);
      env = { PYTHONPATH: packages, ASSET_TEST_NODE: process.execPath, MYPYPATH: packages };
    }, LIMIT_MS);
    afterAll(() => removeDir(dir));

    const pytest = (args: string[], more: Record<string, string> = {}) =>
      run(
        python,
        ['-m', 'pytest', '-q', '-p', 'no:cacheprovider', `--basetemp=${join(dir, 'tmp')}`, ...args],
        {
          ...env,
          ...more,
        },
      );

    it('passes its tests on the embedded store and catalog', () => pytest(['tests']), LIMIT_MS);

    describe('on SeaweedFS and PocketBase', () => {
      let setup: Setup;
      beforeAll(async () => {
        setup = await POCKETBASE.open();
      }, LIMIT_MS);
      afterAll(() => setup?.dispose());

      it(
        'passes the tests that depend on them',
        () => pytest(['-m', 'stores', 'tests'], { ASSET_TEST_SERVICE_ENV: JSON.stringify(setup.env) }),
        LIMIT_MS,
      );
    });

    it(
      'has types that mypy --strict accepts',
      () =>
        run(
          python,
          ['-m', 'mypy', '--cache-dir', join(dir, 'mypy'), 'src', 'tests', 'tools', 'bench.py'],
          env,
        ),
      LIMIT_MS,
    );

    it(
      'has types that pyright accepts',
      () =>
        run(
          join(ROOT, 'node_modules', '.bin', 'pyright'),
          ['--pythonpath', python, 'src', 'tests', 'tools', 'bench.py'],
          env,
        ),
      LIMIT_MS,
    );
  });
}
