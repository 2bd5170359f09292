/**
 * Compares the contract of the working tree with an earlier one and fails on a change that breaks clients.
 *
 * The earlier one is, in this order:
 *   1. the commit that BUF_BASE names,
 *   2. where HEAD left origin/main, or main where there is no remote: all that a branch, or what is not pushed
 *      yet, adds is checked as one change;
 *   3. the commit before HEAD, where HEAD is main itself;
 *   4. HEAD, in a clone that holds no earlier commit.
 *
 * The commit is unpacked with `git archive`, so that shallow clones and worktrees do as well.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What git prints, or undefined where it fails. */
function git(...args) {
  try {
    return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return undefined;
  }
}

function findBase() {
  if (process.env.BUF_BASE) {
    const commit = git('rev-parse', '--verify', `${process.env.BUF_BASE}^{commit}`);
    if (!commit) throw new Error(`BUF_BASE names no commit: ${process.env.BUF_BASE}`);
    return commit;
  }
  const head = git('rev-parse', 'HEAD');
  for (const main of ['refs/remotes/origin/main', 'refs/heads/main']) {
    const fork = git('merge-base', main, 'HEAD');
    if (fork && fork !== head) return fork;
  }
  return git('rev-parse', '--verify', 'HEAD~1^{commit}') ?? head;
}

const base = findBase();
console.log(`Comparing the contract with that of ${git('log', '-1', '--format=%h %s', base)}`);
const dir = mkdtempSync(join(tmpdir(), 'contract-'));
try {
  const archive = execFileSync('git', ['archive', base, 'buf.yaml', 'proto', 'third_party'], {
    maxBuffer: 256 * 1024 * 1024,
  });
  execFileSync('tar', ['-x', '-C', dir], { input: archive });
  execFileSync('buf', ['breaking', '--against', dir], { stdio: 'inherit' });
} catch (error) {
  if (error.stdio === undefined && error.status === undefined) throw error;
  process.exitCode = 1;
} finally {
  rmSync(dir, { recursive: true, force: true });
}
