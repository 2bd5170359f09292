/**
 * One version for the contract, the clients in all languages, the command and the chart. It is that of
 * gen/ts/package.json.
 *
 * `npm run check:versions` fails if a file names another one; `--write` writes it everywhere.
 */
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..', '..');

/** The version as Python writes it: `1.2.0-rc.1` is `1.2.0rc1` (PEP 440). */
export function pythonVersion(version) {
  return version.replace(
    /-(alpha|beta|rc)\.(\d+)$/,
    (_, stage, number) => ({ alpha: 'a', beta: 'b', rc: 'rc' })[stage] + number,
  );
}

/** The version of everything. */
export function currentVersion() {
  return JSON.parse(readFileSync(join(root, 'gen', 'ts', 'package.json'), 'utf8')).version;
}

/**
 * Every place that names the version: a file and patterns, each with the text before it and the version as groups. A
 * pattern that matches nowhere is an error.
 */
function places(version) {
  const packages = globSync(
    ['package.json', 'bin/package.json', 'gen/ts/package.json', 'clients/*/package.json'],
    {
      cwd: root,
    },
  );
  const dependent = globSync(['package.json', 'clients/*/package.json', 'examples/*/package.json'], {
    cwd: root,
  });
  return [
    ...packages.map((file) => ({ file, pattern: /^( {2}"version": ")([^"]+)/gm })),
    ...dependent.map((file) => ({
      file,
      pattern: /("@asset-service\/[\w-]+": "\^?)(\d[^"]*)/g,
      optional: true,
    })),
    {
      file: 'clients/python/pyproject.toml',
      pattern: /^(version = ")([^"]+)/gm,
      value: pythonVersion(version),
    },
    { file: 'examples/go/go.mod', pattern: /(\/gen\/go v)(\S+)/g },
    { file: 'README.md', pattern: /^(Version )(\d\S*?)(?=\. )/gm },
    { file: 'docs/other-languages.md', pattern: /(asset-proto-)(\d\S*?)(?=\.tar\.gz)/g },
    { file: 'deploy/helm/Chart.yaml', pattern: /^((?:appV|v)ersion: "?)([^"\s]+)/gm },
  ].filter(({ file }) => existsSync(join(root, file)));
}

/** Every text that differs, as `file: found instead of wanted`. With `write` they are corrected. */
export function tieVersions({ write = false } = {}) {
  const version = currentVersion();
  const problems = [];
  for (const { file, pattern, optional = false, value = version } of places(version)) {
    const path = join(root, file);
    const text = readFileSync(path, 'utf8');
    const found = [...text.matchAll(pattern)].map((match) => match[2]);
    if (found.length === 0 && !optional) problems.push(`${file}: names no version (${String(pattern)})`);
    const wrong = found.filter((one) => one !== value);
    if (write && wrong.length > 0) writeFileSync(path, text.replaceAll(pattern, `$1${value}`));
    else problems.push(...wrong.map((one) => `${file}: ${one} instead of ${value}`));
  }
  return problems;
}

if (process.argv[1] === import.meta.filename) {
  const problems = tieVersions({ write: process.argv.includes('--write') });
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) {
    console.error('The contract and its clients have one version. Run "npm run release:version" to set it.');
    process.exitCode = 1;
  }
}
