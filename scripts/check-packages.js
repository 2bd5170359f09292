/**
 * Checks the published form of the client packages: `npm run check:packages`. One version for all; what npm needs to
 * prove their origin; a licence and a README in each. publint checks the content of the
 * tarball, attw that types resolve like the code for ES modules, CommonJS (`node10`, `node16`) and bundlers.
 */
import { execFileSync } from 'node:child_process';
import { globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { manifestProblems, npmPackages } from './release/packages.js';
import { tieVersions } from './release/versions.js';

const root = join(import.meta.dirname, '..');
const run = (command, args) => execFileSync(command, args, { cwd: root, stdio: 'inherit' });

/** attw skips wildcard exports, so the modules of the contract are listed one by one. */
function entrypoints(folder) {
  if (folder !== 'gen/ts') return [];
  const modules = globSync('**/*_pb.js', { cwd: join(root, folder, 'src') });
  return ['--entrypoints', ...modules.map((module) => module.replaceAll('\\', '/'))];
}

const problems = [...tieVersions(), ...npmPackages().flatMap(manifestProblems)];
if (problems.length > 0) throw new Error(problems.join('\n'));

const tarballs = mkdtempSync(join(tmpdir(), 'packages-'));
try {
  run(process.execPath, ['scripts/build-clients.js']);
  for (const folder of npmPackages()) {
    const packed = execFileSync('npm', ['pack', '--json', '--pack-destination', tarballs], {
      cwd: join(root, folder),
      encoding: 'utf8',
    });
    const [{ filename, files }] = JSON.parse(packed);
    const tarball = join(tarballs, filename);
    for (const wanted of ['LICENSE', 'README.md']) {
      if (!files.some(({ path }) => path === wanted)) throw new Error(`${filename} holds no ${wanted}`);
    }
    run('npx', ['--no-install', 'publint', 'run', '--strict', tarball]);
    run('npx', [
      '--no-install',
      'attw',
      '--profile',
      folder === 'clients/browser' ? 'esm-only' : 'strict',
      '--no-emoji',
      tarball,
      ...entrypoints(folder),
    ]);
  }
} finally {
  rmSync(tarballs, { recursive: true, force: true });
}
