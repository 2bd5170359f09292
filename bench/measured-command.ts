import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { FLAGS, ROOT } from '../test/support/install.ts';
import { cpuSeconds, peakMemory } from './usage.ts';

/** What a command took. */
export interface Taken {
  readonly seconds: number;
  /** CPU time in seconds. */
  readonly cpu: number;
  /** Maximum resident memory in bytes. */
  readonly memory: number;
}

/** Runs a command of the built program to its end. Rejects unless it succeeds. Needs Linux. */
export async function measuredCommand(
  args: readonly string[],
  { dir, env }: { readonly dir: string; readonly env: Readonly<Record<string, string>> },
): Promise<Taken> {
  const started = performance.now();
  const child = spawn(process.execPath, [...FLAGS, join(ROOT, 'dist', 'main.js'), ...args], {
    cwd: dir,
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  let [cpu, memory] = [0, 0];
  const timer = setInterval(() => {
    try {
      [cpu, memory] = [cpuSeconds(child.pid!), Math.max(memory, peakMemory(child.pid!) || 0)];
    } catch {
      // It has ended meanwhile.
    }
  }, 50);
  const code = await new Promise((resolve) => child.once('close', resolve));
  clearInterval(timer);
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${String(code)}`);
  return { seconds: (performance.now() - started) / 1_000, cpu, memory };
}
