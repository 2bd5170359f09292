/**
 * Generates the code outside the tree and fails if gen/ differs; names changed, missing and extra files. Does not
 * change the tree.
 */
import { spawnSync, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';

const folders = new Set(parse(readFileSync('buf.gen.yaml', 'utf8')).plugins.map((plugin) => plugin.out));
const fresh = mkdtempSync(join(tmpdir(), 'generated-'));
try {
  execFileSync('buf', ['generate', '-o', fresh], { stdio: 'inherit' });
  for (const folder of folders) {
    const { status } = spawnSync('diff', ['-r', '-u', folder, join(fresh, folder)], { stdio: 'inherit' });
    if (status !== 0) process.exitCode = 1;
  }
  if (process.exitCode) {
    console.error('gen/ is not what the contract generates. Run "npm run generate" and commit gen/.');
  }
} finally {
  rmSync(fresh, { recursive: true, force: true });
}
