import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { join } from 'node:path';
import { POCKETBASE, type Setup } from '../e2e/support/setups.ts';
import { ROOT } from '../support/install.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { installWheel, preparePython, runPython } from '../support/python.ts';

const PROJECT = join(ROOT, 'clients', 'python');

/** Longest run of one tool, in milliseconds. */
const LIMIT_MS = 10 * 60_000;

const prepared = await preparePython(join(PROJECT, 'requirements-test.txt'));

const title = 'the Python client, installed from its wheel';
if ('missing' in prepared) {
  it.skip(`${title}: ${prepared.missing}`, () => {});
} else {
  const { python } = prepared;

  describe(title, () => {
    let dir: string;
    let env: Record<string, string>;
    let types: Promise<PromiseSettledResult<unknown>[]>;

    const run = (command: string, args: readonly string[], more: Record<string, string> = {}) =>
      runPython(command, args, PROJECT, { ...env, ...more }, LIMIT_MS);

    beforeAll(async () => {
      dir = await makeDir('python-client');
      const packages = await installWheel(python, dir);
      env = { PYTHONPATH: packages, ASSET_TEST_NODE: process.execPath, MYPYPATH: packages };
      // The types are checked while the tests wait for the service.
      const sources = ['src', 'tests', 'tools', 'bench.py'];
      const cache = join(ROOT, '.cache', 'mypy');
      const pyright = join(ROOT, 'node_modules', '.bin', 'pyright');
      types = (async () => [
        ...(await Promise.allSettled([run(python, ['-m', 'mypy', '--cache-dir', cache, ...sources])])),
        ...(await Promise.allSettled([run(pyright, ['--pythonpath', python, ...sources])])),
      ])();
    }, LIMIT_MS);
    afterAll(async () => {
      await types;
      await removeDir(dir);
    });

    const pytest = (args: string[], more: Record<string, string> = {}) =>
      run(
        python,
        ['-m', 'pytest', '-q', '-p', 'no:cacheprovider', `--basetemp=${join(dir, 'tmp')}`, ...args],
        more,
      );

    it(
      'passes its tests on the embedded store and catalog',
      // The many cases of fsspec about globs run in npm run test:ml.
      () => pytest(['-k', 'not glob_edge_cases', 'tests']),
      LIMIT_MS,
    );

    describe('on SeaweedFS and PocketBase', () => {
      let setup: Setup;
      beforeAll(async () => {
        setup = await POCKETBASE.open();
      }, LIMIT_MS);
      afterAll(() => setup?.dispose());

      it(
        'passes the tests that depend on them, with the synchronous client',
        () =>
          pytest(['-m', 'stores', 'tests'], {
            ASSET_TEST_SERVICE_ENV: JSON.stringify(setup.env),
            ASSET_TEST_CLIENTS: 'sync',
          }),
        LIMIT_MS,
      );
    });

    const accepted = (index: number) => async () => {
      const result = (await types)[index]!;
      if (result.status === 'rejected') throw result.reason;
    };
    it('has types that mypy --strict accepts', accepted(0), LIMIT_MS);
    it('has types that pyright accepts', accepted(1), LIMIT_MS);
  });
}
