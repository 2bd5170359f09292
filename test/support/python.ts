import { execFile, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './install.ts';

const CACHE = join(ROOT, '.cache', 'python');

/** A Python with packages, or why there is none. */
export type PreparedPython = { readonly python: string } | { readonly missing: string };

/**
 * A virtual environment with the packages of a lock file, made on first use under `.cache/python`. Another lock file or
 * another Python is another environment. `ASSET_TEST_PYTHON` names the Python; default `python3`.
 */
export async function preparePython(lockFile: string, timeoutMs = 600_000): Promise<PreparedPython> {
  const base = process.env['ASSET_TEST_PYTHON'] ?? 'python3';
  const asked = spawnSync(base, ['-c', 'import sys, venv, ensurepip; print(sys.version)'], {
    encoding: 'utf8',
  });
  if (asked.status !== 0) return { missing: 'python3 with venv is not installed' };
  const [major = 0, minor = 0] = asked.stdout.split('.').map(Number);
  if (major < 3 || minor < 11) return { missing: `Python ${major}.${minor} is older than 3.11` };
  const hash = createHash('sha256')
    .update(asked.stdout)
    .update(await readFile(lockFile));
  const dir = join(CACHE, hash.digest('hex').slice(0, 16));
  const python = join(dir, 'bin', 'python');
  // Programs of a renamed environment name the old path: only `python -m` is used.
  const complete = join(dir, 'complete');
  if (existsSync(complete)) return { python };
  await mkdir(CACHE, { recursive: true });
  const run = promisify(execFile);
  const partial = `${dir}.${process.pid}.partial`;
  try {
    await run(base, ['-m', 'venv', '--copies', partial]);
    const install = ['-m', 'pip', 'install', '--quiet', '--require-hashes', '--only-binary', ':all:'];
    await run(join(partial, 'bin', 'python'), [...install, '--requirement', lockFile], {
      timeout: timeoutMs,
    });
    await writeFile(join(partial, 'complete'), '');
    await rename(partial, dir);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    // Another process may have been faster.
    if (existsSync(complete)) return { python };
    const { stderr = '' } = error as { readonly stderr?: string };
    const why = stderr.trim().split('\n').at(-1) ?? '';
    return { missing: `its packages cannot be installed: ${why || String(error)}` };
  }
  return { python };
}

/**
 * Runs a tool in a directory and returns what it printed. It is ended with everything that it started.
 *
 * @throws Error with what it printed, if it fails or takes longer than `limitMs`
 */
export async function runPython(
  command: string,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>>,
  limitMs: number,
): Promise<string> {
  const child = spawn(command, args, {
    cwd,
    detached: true,
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  const end = () => {
    try {
      process.kill(-child.pid!, 'SIGKILL');
    } catch {
      // The whole group has ended.
    }
  };
  const timer = setTimeout(end, limitMs);
  const code = await new Promise((resolve) => child.once('exit', resolve));
  clearTimeout(timer);
  end();
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${String(code)}:\n${output}`);
  return output;
}

/** Builds the wheel of the client in `dir` and installs it there, without what it depends on. Returns the directory. */
export async function installWheel(python: string, dir: string): Promise<string> {
  const project = join(ROOT, 'clients', 'python');
  const run = (args: readonly string[]) => runPython(python, ['-m', ...args], project, {}, 120_000);
  await run(['build', '--wheel', '--no-isolation', '--outdir', dir, '.']);
  const wheels = (await readdir(dir)).filter((name) => name.endsWith('.whl'));
  if (wheels.length !== 1 || !/^asset_service-\d+\.\d+\.\d+-py3-none-any\.whl$/.test(wheels[0]!)) {
    throw new Error(`the build made ${wheels.join(', ') || 'no wheel'}`);
  }
  const packages = join(dir, 'packages');
  await run([
    'pip',
    'install',
    '--quiet',
    '--no-deps',
    '--no-index',
    '--target',
    packages,
    join(dir, wheels[0]!),
  ]);
  return packages;
}
