import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { join } from 'node:path';
import { POCKETBASE, type Setup } from '../e2e/support/setups.ts';
import { ROOT } from '../support/install.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { installWheel, preparePython, runPython } from '../support/python.ts';

/** Longest run of one tool, in milliseconds. */
const LIMIT_MS = 15 * 60_000;

const PROJECT = join(ROOT, 'clients', 'python');
const title =
  'the Python client with pandas, polars, pyarrow, torch, datasets, universal_pathlib and smart_open';

if (process.env['ASSET_TEST_ML'] !== 'full') {
  it.skip(`${title}: only in npm run test:ml, because torch alone has some GiB`, () => {});
} else {
  const prepared = await preparePython(join(PROJECT, 'requirements-ml.txt'), LIMIT_MS);
  if ('missing' in prepared) {
    it.skip(`${title}: ${prepared.missing}`, () => {});
  } else {
    const { python } = prepared;
    describe(title, () => {
      let dir: string;
      let env: Record<string, string>;
      let setup: Setup;

      beforeAll(async () => {
        dir = await makeDir('python-ml');
        const packages = await installWheel(python, dir);
        env = { PYTHONPATH: packages, ASSET_TEST_NODE: process.execPath, HF_HUB_OFFLINE: '1', HF_HOME: dir };
        setup = await POCKETBASE.open();
      }, LIMIT_MS);
      afterAll(async () => {
        await setup?.dispose();
        await removeDir(dir);
      });

      const pytest = (more: Record<string, string>, tests = 'tests_ml') => {
        const args = [
          '-m',
          'pytest',
          '-q',
          '-p',
          'no:cacheprovider',
          `--basetemp=${join(dir, 'tmp')}`,
          tests,
        ];
        return runPython(python, args, PROJECT, { ...env, ...more }, LIMIT_MS);
      };

      it('passes all tests of fsspec over a draft', () => pytest({}, 'tests/test_abstract.py'), LIMIT_MS);

      it('passes its tests on the embedded store and catalog', () => pytest({}), LIMIT_MS);

      it(
        'passes them on SeaweedFS and PocketBase, also while the store is down for ten seconds',
        () => pytest({ ASSET_TEST_SERVICE_ENV: JSON.stringify(setup.env) }),
        LIMIT_MS,
      );
    });
  }
}
