/**
 * Generates the code outside the tree and fails if gen/ differs; names changed, missing and extra files. Does not
 * change the tree. Without Go, says that gen/go was not checked.
 */
import { spawnSync, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';

/** Generates with a template and compares every folder that it fills; returns whether they are the same. */
function isCurrent(template, fresh) {
  const { plugins } = parse(readFileSync(template, 'utf8'));
  execFileSync('buf', ['generate', '--template', template, '-o', fresh], { stdio: 'inherit' });
  return [...new Set(plugins.map(({ out }) => out))]
    .map((folder) => spawnSync('diff', ['-r', '-u', folder, join(fresh, folder)], { stdio: 'inherit' }))
    .every(({ status }) => status === 0);
}

const templates = ['buf.gen.yaml'];
if (spawnSync('go', ['version']).status === 0) templates.push('gen/go/buf.gen.yaml');
else console.error('gen/go was not checked: Go is not installed');

const fresh = mkdtempSync(join(tmpdir(), 'generated-'));
try {
  if (!templates.map((template) => isCurrent(template, fresh)).every(Boolean)) {
    console.error('gen/ is not what the contract generates. Run "npm run generate" and commit gen/.');
    process.exitCode = 1;
  }
} finally {
  rmSync(fresh, { recursive: true, force: true });
}
