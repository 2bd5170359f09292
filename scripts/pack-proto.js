/**
 * Writes the contract and everything it imports to one archive, for callers in other languages: `npm run pack:proto
 * [DIRECTORY]`. The default directory is `dist/`. Its folder `asset-proto` is the include path for protoc.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const root = join(import.meta.dirname, '..');
const target = resolve(process.argv[2] ?? join(root, 'dist'));
const { version } = JSON.parse(readFileSync(join(root, 'gen', 'ts', 'package.json'), 'utf8'));
const archive = join(target, `asset-proto-${version}.tar.gz`);

const work = mkdtempSync(join(tmpdir(), 'asset-proto-'));
try {
  const folder = join(work, 'asset-proto');
  execFileSync('buf', ['export', 'proto', '--output', folder], { cwd: root, stdio: 'inherit' });
  // Not imported by the contract, but used in error details.
  cpSync(
    join(root, 'third_party/google/rpc/error_details.proto'),
    join(folder, 'google/rpc/error_details.proto'),
  );
  cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  mkdirSync(target, { recursive: true });
  execFileSync('tar', ['-czf', archive, '-C', work, 'asset-proto'], { stdio: 'inherit' });
  console.log(archive);
} finally {
  rmSync(work, { recursive: true, force: true });
}
