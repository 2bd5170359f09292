/** Builds everything that a release publishes, into one folder. Publishes nothing. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { preparePython } from '../../test/support/python.ts';
import { manifestOf, npmPackages, ROOT } from './packages.js';
import { currentVersion } from './versions.js';

const run = (command, args, cwd = ROOT) =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });

/** Checks the built files before they leave: each has a licence and a README. */
function mustHold(file, names) {
  for (const wanted of ['LICENSE', 'README.md']) {
    if (!names.some((name) => name === wanted || name.endsWith(`/${wanted}`))) {
      throw new Error(`${file} has no ${wanted}`);
    }
  }
}

function packNpm(folder, target) {
  const [{ filename, files }] = JSON.parse(
    run('npm', ['pack', '--json', '--pack-destination', target], join(ROOT, folder)),
  );
  mustHold(
    filename,
    files.map(({ path }) => path),
  );
  const { name, version } = manifestOf(folder);
  return { kind: 'npm', name: `${name}@${version}`, file: filename };
}

/** The Python that builds and uploads; throws if this machine has none. */
export async function releasePython() {
  const prepared = await preparePython(join(import.meta.dirname, 'requirements.txt'));
  if ('missing' in prepared) throw new Error(`the Python client cannot be built: ${prepared.missing}`);
  return prepared.python;
}

async function buildPython(target) {
  const python = await releasePython();
  const project = join(ROOT, 'clients', 'python');
  const before = new Set(readdirSync(target));
  run(python, ['-m', 'build', '--no-isolation', '--outdir', target, project]);
  run(python, [
    ...['-m', 'twine', 'check', '--strict'],
    ...readdirSync(target)
      .filter((name) => !before.has(name))
      .map((name) => join(target, name)),
  ]);
  return readdirSync(target)
    .filter((name) => !before.has(name))
    .map((file) => ({ kind: 'python', name: 'asset-service', file }));
}

/** The tag is the publication: the module is what the repository holds at it. */
function goModule() {
  const module = /^module (\S+)$/m.exec(readFileSync(join(ROOT, 'gen', 'go', 'go.mod'), 'utf8'))[1];
  mustHold('gen/go', readdirSync(join(ROOT, 'gen', 'go')));
  return { kind: 'go', name: `${module}@v${currentVersion()}`, tag: `gen/go/v${currentVersion()}` };
}

function packChart(target) {
  const chart = join(ROOT, 'deploy', 'helm');
  if (!existsSync(join(chart, 'Chart.yaml'))) return { kind: 'helm', skipped: 'deploy/helm does not exist' };
  if (spawnSync('helm', ['version']).status !== 0)
    return { kind: 'helm', skipped: 'helm is not installed', failure: true };
  const said = run('helm', ['package', chart, '--destination', target]);
  const path = /saved it to: (.*)$/m.exec(said)[1].trim();
  const file = path.slice(target.length + 1);
  mustHold(file, run('tar', ['-tzf', path]).trim().split('\n'));
  return { kind: 'helm', name: `asset-service ${currentVersion()}`, file };
}

/**
 * Builds the chosen kinds (`npm`, `python`, `go`, `helm`, `proto`). Returns what was built: its kind, its name and its file
 * in the folder, or why it was left out. Writes SHA256SUMS.
 */
export async function buildArtifacts(target, kinds) {
  const built = [];
  if (kinds.has('npm')) {
    run(process.execPath, ['scripts/build-clients.js']);
    built.push(...npmPackages().map((folder) => packNpm(folder, target)));
  }
  if (kinds.has('python')) built.push(...(await buildPython(target)));
  if (kinds.has('go')) built.push(goModule());
  if (kinds.has('helm')) built.push(packChart(target));
  if (kinds.has('proto')) {
    run(process.execPath, ['scripts/pack-proto.js', target]);
    built.push({ kind: 'proto', name: 'the contract', file: `asset-proto-${currentVersion()}.tar.gz` });
  }
  const sums = built
    .filter(({ file }) => file !== undefined)
    .map(({ file }) => {
      const sum = createHash('sha256').update(readFileSync(join(target, file)));
      return `${sum.digest('hex')}  ${file}\n`;
    });
  writeFileSync(join(target, 'SHA256SUMS'), sums.join(''));
  return built;
}
