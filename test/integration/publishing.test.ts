import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { appendFile, cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { isInstalled, ROOT, serverProgram } from '../support/install.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { preparePython } from '../support/python.ts';
import {
  startChartRegistry,
  startNpmRegistry,
  startPythonIndex,
  type NpmRegistry,
  type PythonIndex,
} from '../support/registries.ts';
import { startService, type Service } from '../support/service.ts';

const run = promisify(execFile);

/** True to publish twice and to compile a Go program as well. */
const FULL = process.env['ASSET_TEST_PUBLISHING'] === 'full';

const { repository } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as {
  readonly repository: { readonly url: string };
};
const { version } = JSON.parse(await readFile(join(ROOT, 'gen', 'ts', 'package.json'), 'utf8')) as {
  readonly version: string;
};
const ADDRESS = repository.url.replace(/^git\+/, '').replace(/\.git$/, '');
const SPEC = { usage: 'published', owner: 'ann' };

const prepared = await preparePython(join(ROOT, 'scripts', 'release', 'requirements.txt'));
const canHelm = isInstalled('helm') || FULL;
const withoutGo = spawnSync('go', ['version']).status !== 0;

let dir: string;
let checkout: string;
let service: Service;
let npm: NpmRegistry;
let pypi: PythonIndex;
let env: NodeJS.ProcessEnv;

const git = (...args: string[]) => execFileSync('git', args, { cwd: checkout, env, encoding: 'utf8' }).trim();

/** `npm run release` in the checkout; its exit code and all that it printed. */
async function release(...args: string[]): Promise<{ readonly code: number; readonly output: string }> {
  const command = [join(checkout, 'scripts', 'release', 'release.js'), ...args];
  try {
    const { stdout, stderr } = await run(process.execPath, command, { cwd: checkout, env });
    return { code: 0, output: stdout + stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, output: stdout + stderr };
  }
}

/**
 * A clone of the repository with the files of this work tree. Git takes a bare repository beside it for the one that
 * package.json names, so that nothing leaves this machine.
 */
async function makeCheckout(): Promise<void> {
  checkout = join(dir, 'checkout');
  const remote = join(dir, 'remote.git');
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  const parts =
    /^(?:[^/]+$|\.changeset|bin|gen|clients|deploy|docs|examples\/(?:bff|go)|proto|scripts|third_party)/;
  const wanted = files.split('\0').filter((file) => parts.test(file) || file.startsWith('test/support/'));
  for (const file of wanted) {
    if (file !== '') await cp(join(ROOT, file), join(checkout, file)).catch(ignoreMissing);
  }
  // Built already, so that the compiler has nothing to do.
  for (const { dist } of JSON.parse(
    execFileSync('npm', ['query', '.workspace'], { cwd: ROOT, encoding: 'utf8' }),
  ).map(({ location }: { location: string }) => ({ dist: join(location, 'dist') }))) {
    const options = { recursive: true, preserveTimestamps: true };
    await cp(join(ROOT, dist), join(checkout, dist), options).catch(ignoreMissing);
  }
  for (const name of ['node_modules', '.cache']) await symlink(join(ROOT, name), join(checkout, name));
  env = {
    ...process.env,
    PATH: [join(ROOT, 'node_modules', '.bin'), process.env['PATH']].join(delimiter),
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_COUNT: '3',
    GIT_CONFIG_KEY_0: `url.${remote}.insteadOf`,
    GIT_CONFIG_VALUE_0: ADDRESS,
    GIT_CONFIG_KEY_1: 'user.name',
    GIT_CONFIG_VALUE_1: 'test',
    GIT_CONFIG_KEY_2: 'user.email',
    GIT_CONFIG_VALUE_2: 'test@example.com',
    NPM_CONFIG_USERCONFIG: npm.npmrc,
    // What pypiserver takes from anybody; twine asks for something.
    TWINE_USERNAME: 'anybody',
    TWINE_PASSWORD: 'anything',
  };
  execFileSync('git', ['init', '--quiet', '--bare', remote]);
  git('init', '--quiet', '--initial-branch', 'main');
  await appendFile(join(checkout, '.git', 'info', 'exclude'), '/node_modules\n/.cache\n');
  git('remote', 'add', 'origin', ADDRESS);
  const changelog = join(checkout, 'CHANGELOG.md');
  const text = await readFile(changelog, 'utf8');
  if (!text.includes(`\n## [${version}]`))
    await writeFile(changelog, text.replace('## [Unreleased]', `## [${version}]`));
  git('add', '.');
  git('commit', '--quiet', '--message', 'Release');
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}

const title = 'a release';
if ('missing' in prepared) {
  it.skip(`${title}: ${prepared.missing}`, () => {});
} else {
  describe(title, () => {
    beforeAll(async () => {
      dir = await makeDir('publishing');
      [service, npm, pypi] = await Promise.all([
        startService(),
        startNpmRegistry(),
        startPythonIndex(prepared.python),
      ]);
      await makeCheckout();
    });
    afterAll(async () => {
      await Promise.all([service?.dispose(), npm?.dispose(), pypi?.dispose()]);
      await removeDir(dir);
    });

    it('is a dry run unless told otherwise', async () => {
      const { code, output } = await release('--only', 'go,proto');
      expect([code, output]).toEqual([0, expect.stringContaining('Dry run')]);
      expect(output).toContain(`gen/go/v${version}`);
      expect(output).toContain(`asset-proto-${version}.tar.gz`);
      expect(git('ls-remote', 'origin')).toBe('');
    });

    it('refuses what does not fit together, and publishes nothing', async () => {
      const path = join(checkout, 'clients', 'worker', 'package.json');
      const text = await readFile(path, 'utf8');
      await writeFile(path, text.replace(`"version": "${version}"`, '"version": "9.9.9"'));
      const untied = await release('--only', 'go', '--publish');
      expect(untied).toEqual({ code: 1, output: expect.stringContaining('Nothing was published') });
      expect(untied.output).toContain(`clients/worker/package.json: 9.9.9 instead of ${version}`);
      await writeFile(path, `${text}\n`);
      const changed = await release('--only', 'go', '--publish');
      expect(changed).toEqual({ code: 1, output: expect.stringContaining('the work tree has changes') });
      git('checkout', '--quiet', '.');
      const elsewhere = await release('--only', 'go', '--publish', '--remote', 'fork');
      expect(elsewhere).toEqual({ code: 1, output: expect.stringContaining('the remote fork is not there') });
      expect(git('ls-remote', 'origin')).toBe('');
    });

    it('publishes npm packages, wheel and tags', async () => {
      const one = await release('--publish', '--only', 'proto');
      expect(one).toEqual({ code: 0, output: expect.stringContaining(`Published ${version}`) as unknown });
      expect(git('ls-remote', '--tags', 'origin')).toBe('');
      const { code, output } = await publishAll();
      if (code !== 0) throw new Error(output);
      expect(output).toContain(`Published ${version}.`);
      const tags = git('ls-remote', '--tags', '--refs', 'origin').replaceAll(/^.*refs\/tags\//gm, '');
      expect(tags.split('\n').sort()).toEqual([`gen/go/v${version}`, `v${version}`].sort());
    });

    if (FULL) {
      it('goes on where it was interrupted', async () => {
        const { code, output } = await publishAll();
        if (code !== 0) throw new Error(output);
        expect(output).toContain('is published already');
      });
    } else {
      it.skip('goes on where it was interrupted: runs with ASSET_TEST_PUBLISHING=full', () => {});
    }

    it.each([
      ['22', () => serverProgram('node22')],
      ['24', async () => process.execPath],
    ] as const)('installs into an empty project on Node.js %s', async (major, program) => {
      const node = await program();
      const project = join(dir, `node${major}`);
      await mkdir(project);
      await writeFile(join(project, 'package.json'), '{ "private": true, "type": "module" }');
      const own = { ...env, PATH: [dirname(node), process.env['PATH']].join(delimiter) };
      const quiet = ['--prefer-offline', '--no-audit', '--no-fund'];
      const names = ['@asset-service/worker', '@asset-service/bff'].map((name) => `${name}@${version}`);
      await run('npm', ['install', ...quiet, ...names], { cwd: project, env: own });
      await writeFile(join(project, 'main.js'), NODE_PROGRAM);
      const { stdout } = await run(node, ['main.js'], {
        cwd: project,
        env: { ...own, ASSET_SERVICE_URL: service.url },
      });
      expect(stdout).toBe(`v${major} hello`);
    });

    it('installs into a bare virtual environment', async () => {
      const venv = join(dir, 'venv');
      // Without a pip of its own, which takes longer to install than the package.
      await run(prepared.python, ['-m', 'venv', '--without-pip', venv]);
      const python = join(venv, 'bin', 'python');
      const install = ['-m', 'pip', '--python', python, 'install', '--quiet', '--no-compile'];
      const index = ['--extra-index-url', `${pypi.url}simple/`];
      await run(prepared.python, [...install, ...index, `asset-service==${version}`]);
      const { stdout } = await run(python, ['-c', PYTHON_PROGRAM], {
        cwd: dir,
        env: { ...process.env, ASSET_SERVICE_URL: service.url },
      });
      expect(stdout).toBe('hello');
    });

    if (withoutGo || !canHelm) {
      it.skip('publishes the chart: needs go and helm (ASSET_TEST_PUBLISHING=full builds helm)', () => {});
    } else {
      it('publishes the chart, once', async () => {
        const helm = await serverProgram('helm');
        const homes = { HELM_CACHE_HOME: 'cache', HELM_CONFIG_HOME: 'config', HELM_DATA_HOME: 'data' };
        for (const [name, folder] of Object.entries(homes)) env[name] = join(dir, 'helm', folder);
        env['PATH'] = [dirname(helm), env['PATH']].join(delimiter);
        const registry = await startChartRegistry();
        try {
          const options = ['--only', 'helm', '--helm-registry', registry.url];
          const planned = await release(...options);
          expect(planned).toEqual({ code: 0, output: expect.stringContaining(`to ${registry.url}`) });
          expect(planned.output).not.toContain('Before --publish: helm');
          const missing = await release('--only', 'helm', '--publish');
          expect(missing.output).toContain('helm: --helm-registry is missing');
          const wrong = await release(
            '--only',
            'helm',
            '--publish',
            '--helm-registry',
            'https://example.com',
          );
          expect([missing.code, wrong.code]).toEqual([1, 1]);
          expect(wrong.output).toContain('has to be oci://HOST/PATH');
          const published = await release('--publish', ...options);
          expect(published).toEqual({ code: 0, output: expect.stringContaining('.tgz: published') });
          const again = await release('--publish', ...options);
          expect(again).toEqual({ code: 0, output: expect.stringContaining('is published already') });
          const chart = [`${registry.url}/asset-service`, '--version', version, '--plain-http'];
          const made = await run(
            helm,
            [
              'template',
              'assets',
              ...chart,
              '--kube-version',
              '1.31.0',
              '--set',
              'settings.ASSET_S3_BUCKET=files,settings.ASSET_AUTH=none',
            ],
            {
              cwd: dir,
              env,
            },
          );
          expect(made.stdout).toContain('kind: Deployment');
          const { stdout } = await run(helm, ['show', 'readme', ...chart], { cwd: dir, env });
          expect(stdout).toContain('# Asset Service');
        } finally {
          await registry.dispose();
        }
      });
    }

    if (withoutGo) {
      it.skip('gives Go the module at its tag: go is not installed', () => {});
    } else {
      it('gives Go the module at its tag', async () => {
        const project = join(dir, 'go');
        await mkdir(project);
        const module = `${ADDRESS.replace('https://', '')}/gen/go`;
        const own = {
          ...env,
          ...{ GOTOOLCHAIN: 'local', GOFLAGS: '-mod=mod', GOMODCACHE: join(dir, 'modules') },
          // Neither a proxy nor a checksum database has heard of it.
          ...{ GOPRIVATE: `${module.split('/gen/')[0]}/*`, GOPATH: join(dir, 'gopath') },
        };
        const go = (...args: string[]) => run('go', args, { cwd: project, env: own });
        await go('mod', 'init', 'example.com/program');
        await go('get', '-modcacherw', `${module}@v${version}`);
        const { stdout } = await go('list', '-modcacherw', '-m', module);
        expect(stdout.trim()).toBe(`${module} v${version}`);
        if (!FULL) return;
        await cp(join(ROOT, 'examples', 'go', 'main.go'), join(project, 'main.go'));
        await go('mod', 'tidy', '-modcacherw');
        await go('vet', '-modcacherw', '.');
      });
    }

    it('ties the version everywhere when changesets raise it', async () => {
      await writeFile(
        join(checkout, '.changeset', 'a-feature.md'),
        `---\n'@asset-service/worker': minor\n---\n\nSomething new.\n`,
      );
      await run('changeset', ['version'], { cwd: checkout, env });
      const script = join(checkout, 'scripts', 'release', 'versions.js');
      await expect(run(process.execPath, [script], { cwd: checkout, env })).rejects.toMatchObject({
        stderr: expect.stringContaining('clients/python/pyproject.toml'),
      });
      await run(process.execPath, [script, '--write'], { cwd: checkout, env });
      await run(process.execPath, [script], { cwd: checkout, env });
      const [major, minor] = version.split('.').map(Number);
      for (const file of ['gen/ts/package.json', 'clients/python/pyproject.toml', 'examples/go/go.mod']) {
        expect(await readFile(join(checkout, file), 'utf8')).toContain(`${major}.${minor! + 1}.0`);
      }
    });
  });
}

const publishAll = () =>
  release(...['--publish', '--only', 'npm,python,go', '--npm-registry', npm.url, '--pypi', pypi.url]);

const NODE_PROGRAM = `
import { createBffClient } from '@asset-service/bff';
import { createWorkerClient } from '@asset-service/worker';
const baseUrl = process.env.ASSET_SERVICE_URL;
const worker = createWorkerClient({ baseUrl });
const file = await worker.uploadFile(new TextEncoder().encode('hello'), ${JSON.stringify({ name: 'a.txt', ...SPEC })});
await worker.downloadToFile(file.id, 'copy.txt');
const bff = createBffClient({ baseUrl });
const { url } = await bff.fileUrl(file.id);
process.stdout.write(process.version.split('.')[0] + ' ' + (await (await fetch(url)).text()));
worker.close();
bff.close();
`;

const PYTHON_PROGRAM = `
import os
from asset_service import AssetClient
with AssetClient(os.environ["ASSET_SERVICE_URL"]) as assets:
    file = assets.upload(b"hello", name="a.txt", owner="${SPEC.owner}", usage="${SPEC.usage}")
    print(assets.download_bytes(file.id).decode(), end="")
`;
