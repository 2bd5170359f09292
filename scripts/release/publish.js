/**
 * Publishes what `artifacts.js` built. What an earlier, interrupted run published is left as it is, so that a release
 * can be run again until it is complete. The tags come last: a release that has its tags is complete.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { releasePython } from './artifacts.js';
import { ROOT } from './packages.js';
import { currentVersion } from './versions.js';

const run = (command, args, cwd = ROOT) => execFileSync(command, args, { cwd, stdio: 'inherit' });

/** What git prints; undefined if it fails. */
export function git(...args) {
  const { status, stdout } = spawnSync('git', args, { cwd: ROOT, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

function publishNpm({ name, file }, target, { npmRegistry, provenance }) {
  const registry = npmRegistry === undefined ? [] : ['--registry', npmRegistry];
  const known = spawnSync('npm', ['view', name, 'version', ...registry], { cwd: ROOT, encoding: 'utf8' });
  if (known.status === 0 && known.stdout.trim() !== '') {
    console.log(`${name}: is published already`);
    return;
  }
  // A release candidate must not become what `npm install` takes.
  const tag = currentVersion().includes('-') ? 'next' : 'latest';
  const options = ['--access', 'public', '--tag', tag, ...(provenance ? ['--provenance'] : []), ...registry];
  run('npm', ['publish', join(target, file), ...options]);
  console.log(`${name}: published`);
}

async function publishPython(files, target, { pypi }) {
  const python = await releasePython();
  const repository = pypi === undefined ? ['--skip-existing'] : ['--repository-url', pypi, '--verbose'];
  for (const { file } of files) {
    const { status, stdout, stderr } = spawnSync(
      python,
      [
        '-m',
        'twine',
        'upload',
        '--non-interactive',
        '--disable-progress-bar',
        ...repository,
        join(target, file),
      ],
      { cwd: ROOT, encoding: 'utf8', env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined } },
    );
    const output = stdout + stderr;
    // `--skip-existing` is for PyPI alone; of others the answer says it.
    if (status === 0) console.log(`${file}: published`);
    else if (pypi !== undefined && /\b409\b|already\s+exist/i.test(output))
      console.log(`${file}: is published already`);
    else throw new Error(`twine did not upload ${file}:\n${output}`);
  }
}

function publishTag(tag, { remote }) {
  const head = git('rev-parse', 'HEAD');
  const tagged = git('rev-parse', '--verify', '--quiet', `${tag}^{commit}`);
  if (tagged !== undefined && tagged !== head)
    throw new Error(`the tag ${tag} is at another commit: ${tagged}`);
  if (tagged === undefined) run('git', ['tag', '--annotate', tag, '--message', tag]);
  run('git', ['push', '--quiet', remote, `refs/tags/${tag}`]);
  console.log(`${tag}: pushed to ${remote}`);
}

/** Options of helm for a registry of this machine, which has no certificate. */
function helmOptions(registry) {
  const { hostname } = new URL(registry);
  return ['localhost', '127.0.0.1', '[::1]'].includes(hostname) ? ['--plain-http'] : [];
}

/** An OCI registry would take another chart for a version that is there. */
function publishChart(file, target, { helmRegistry }) {
  const options = helmOptions(helmRegistry);
  const chart = `${helmRegistry.replace(/\/$/, '')}/asset-service`;
  const known = spawnSync('helm', ['show', 'chart', chart, '--version', currentVersion(), ...options]);
  if (known.status === 0) {
    console.log(`${file}: is published already`);
    return;
  }
  run('helm', ['push', join(target, file), helmRegistry, ...options]);
  console.log(`${file}: published`);
}

/** Publishes the artifacts of one folder. Throws at the first that fails; run it again then. */
export async function publish(artifacts, target, options) {
  const of = (kind) => artifacts.filter((one) => one.kind === kind && one.skipped === undefined);
  for (const one of of('npm')) publishNpm(one, target, options);
  await publishPython(of('python'), target, options);
  for (const { file } of of('helm')) publishChart(file, target, options);
  // Both tags or none: other kinds alone are no complete release.
  for (const { tag } of of('go')) {
    publishTag(tag, options);
    publishTag(`v${currentVersion()}`, options);
  }
}
