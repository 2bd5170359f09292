/**
 * Compares the contract in the working tree with an earlier one; fails if a change breaks clients.
 *
 * The earlier one is the first of these that exists:
 * 1. the commit in BUF_BASE,
 * 2. the merge base of HEAD and origin/main (or main without a remote), so that everything a branch or unpushed
 *   work adds is checked as one change,
 * 3. the commit before HEAD, if HEAD is main,
 * 4. HEAD, in a clone without an earlier commit.
 *
 * The commit is unpacked with `git archive`, which also works in shallow clones and worktrees.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Output of git; undefined if it fails. */
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
