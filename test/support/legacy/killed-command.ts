import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { endOf, startCli } from '../../e2e/support/cli.ts';
import { ROOT } from '../install.ts';
import type { LegacySystem } from './system.ts';

/** Where and when a command is killed. */
export interface KillPlan {
  /** Working directory of the command. */
  readonly dir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly point: string;
  /** How often the point is reached; default 1. */
  readonly nth?: number;
}

/** Runs `asset-service legacy` with arguments until it is killed at a point; removes its lease, which would expire. */
export async function killCommandAt(
  legacy: LegacySystem,
  { dir, env, point, nth = 1 }: KillPlan,
  args: readonly string[],
): Promise<void> {
  const plan = join(dir, 'plan.json');
  await writeFile(plan, JSON.stringify({ point, nth, signal: 'SIGKILL' }));
  const preload = `--import=${join(ROOT, 'test/fault/kill-at.mjs')}`;
  const more = { NODE_OPTIONS: preload, ASSET_TEST_FAULT_PLAN: plan };
  const { code, stderr } = await endOf(startCli(['legacy', ...args], { cwd: dir, env: { ...env, ...more } }));
  if (code !== 'SIGKILL') throw new Error(`not killed at ${point}, but ended with ${code}: ${stderr}`);
  const leases = legacy.admin.collection('asset_leases');
  for (const { id } of await leases.getFullList()) await leases.delete(id);
}
