/**
 * Builds one release of the contract, the clients and the chart, and publishes it: `npm run release -- --help`. Without
 * `--publish` it builds, checks and says what it would publish.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildArtifacts } from './artifacts.js';
import { manifestOf, manifestProblems, npmPackages, ROOT } from './packages.js';
import { git, publish } from './publish.js';
import { currentVersion, tieVersions } from './versions.js';

const KINDS = ['npm', 'python', 'go', 'helm', 'proto'];

const HELP = `npm run release -- [--publish] [--only ${KINDS.join(',')}] [options]

Builds into dist/release and says what it would publish. With --publish it publishes: npm packages, wheel and source of
the Python client, chart, and the tags vX.Y.Z and gen/go/vX.Y.Z. Run it again if it was interrupted. Both tags belong
to go: --only without it pushes none.

  --npm-registry URL   where the npm packages go; else what npm is configured for
  --pypi URL           upload address of the Python index; else PyPI
  --helm-registry URL  where the chart goes, oci://...; needed to publish it
  --remote NAME        remote of git that gets the tags; default origin
  --provenance         npm signs where the packages were built; only on a build server that npm supports`;

const { values: options } = parseArgs({
  options: {
    ...{ publish: { type: 'boolean' }, provenance: { type: 'boolean' }, help: { type: 'boolean' } },
    ...{ only: { type: 'string', default: KINDS.join(',') }, remote: { type: 'string', default: 'origin' } },
    ...{ 'npm-registry': { type: 'string' }, pypi: { type: 'string' }, 'helm-registry': { type: 'string' } },
  },
});

/** An address of a repository without what may differ: `git+`, user, `.git`, `git@HOST:`. */
const normalized = (url) =>
  (url ?? '')
    .replace(/^git\+/, '')
    .replace(/^(?:ssh:\/\/)?git@([^:/]+)[:/]/, 'https://$1/')
    .replace(/^https:\/\/[^@/]*@/, 'https://')
    .replace(/(?:\.git)?\/?$/, '');

/** What must be right before anything is built. */
function problemsOfTree() {
  const module = /^module (\S+)$/m.exec(readFileSync(join(ROOT, 'gen', 'go', 'go.mod'), 'utf8'))[1];
  const repository = normalized(manifestOf('.').repository.url);
  const wanted = `${repository.replace(/^https:\/\//, '')}/gen/go`;
  return [
    ...tieVersions(),
    ...npmPackages().flatMap(manifestProblems),
    ...(module === wanted ? [] : [`gen/go/go.mod: the module is ${module}, by package.json ${wanted}`]),
  ];
}

/** What must be right before anything is published. */
function problemsOfRelease(artifacts) {
  const version = currentVersion();
  const problems = [];
  if (git('status', '--porcelain') !== '') problems.push('the work tree has changes: commit them');
  const pending = readdirSync(join(ROOT, '.changeset')).filter((name) => /(?<!README)\.md$/.test(name));
  if (pending.length > 0) problems.push(`changesets wait: ${pending.join(', ')}: npm run release:version`);
  if (!readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8').includes(`\n## [${version}]`)) {
    problems.push(`CHANGELOG.md has no section "## [${version}]"`);
  }
  const remote = git('config', '--get', `remote.${options.remote}.url`);
  const { url } = manifestOf('.').repository;
  if (normalized(remote) !== normalized(url)) {
    problems.push(`the remote ${options.remote} is ${remote ?? 'not there'}, package.json says ${url}`);
  }
  for (const { kind, skipped, failure } of artifacts) {
    if (failure) problems.push(`${kind}: ${skipped}`);
    if (kind === 'helm' && skipped === undefined && options['helm-registry'] === undefined) {
      problems.push('helm: --helm-registry is missing; --only leaves the chart out');
    }
    if (kind === 'helm' && !/^oci:\/\/[^/]+/.test(options['helm-registry'] ?? 'oci://-')) {
      problems.push(`helm: --helm-registry has to be oci://HOST/PATH, not ${options['helm-registry']}`);
    }
  }
  return problems;
}

/** Compares the contract with that of the last release. */
function breaksClients() {
  const last = git('describe', '--tags', '--abbrev=0', '--match', 'v[0-9]*');
  if (last === undefined) return false;
  const { status } = spawnSync(process.execPath, ['scripts/buf-breaking.js'], {
    ...{ cwd: ROOT, stdio: 'inherit', env: { ...process.env, BUF_BASE: last } },
  });
  return status !== 0;
}

function refuse(problems) {
  if (problems.length === 0) return;
  for (const problem of problems) console.error(problem);
  console.error('Nothing was published.');
  process.exit(1);
}

const kinds = new Set(options.only.split(','));
if (options.help) {
  console.log(HELP);
  process.exit(0);
}
const unknown = [...kinds].filter((kind) => !KINDS.includes(kind));
refuse(unknown.map((kind) => `--only: ${kind} is none of ${KINDS.join(', ')}`));
refuse(problemsOfTree());
if (breaksClients()) refuse(['the contract breaks clients of the last release']);

const target = join(ROOT, 'dist', 'release');
rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
const artifacts = await buildArtifacts(target, kinds);
for (const { kind, name, file, tag, skipped } of artifacts) {
  const where = kind === 'helm' && options['helm-registry'] ? ` to ${options['helm-registry']}` : '';
  console.log(
    skipped ? `${kind}: left out, ${skipped}` : `${kind}: ${name} (${file ?? `tag ${tag}`})${where}`,
  );
}
if (!options.publish) {
  console.log(`Dry run of ${currentVersion()}: nothing was published. --publish does it.`);
  for (const problem of problemsOfRelease(artifacts)) console.log(`Before --publish: ${problem}`);
} else {
  refuse(problemsOfRelease(artifacts));
  await publish(artifacts, target, {
    ...{ npmRegistry: options['npm-registry'], pypi: options.pypi, helmRegistry: options['helm-registry'] },
    ...{ remote: options.remote, provenance: options.provenance ?? false },
  });
  console.log(`Published ${currentVersion()}.`);
}
