import { withLockableSystem } from '../../../src/app/legacy.ts';
import { moveMemory } from '../../../src/app/move-memory.ts';
import { migrateCatalog } from '../../../src/app/catalog.ts';
import { loadConfig, type Config } from '../../../src/config/config.ts';
import { acknowledge } from '../../../src/legacy/backfill-state.ts';
import { backfill } from '../../../src/legacy/backfill.ts';
import type { LockableSystem } from '../../../src/legacy/lock-journal.ts';
import { verify } from '../../../src/move/verify.ts';
import type { LegacySystem } from './system.ts';

const signal = new AbortController().signal;

/** A legacy system with every file moved or acknowledged, and verified. */
export interface MovedSystem {
  readonly config: Config;
  /** Runs work with the system that the steps need. */
  within<T>(work: (system: LockableSystem) => Promise<T>, config?: Config): Promise<T>;
  /** Moves files written since then, and verifies all files again. */
  moveAgain(): Promise<void>;
}

/** Moves all files of a legacy system. */
export async function moveAll(
  legacy: LegacySystem,
  env: Readonly<Record<string, string>> = legacy.env,
): Promise<MovedSystem> {
  const config = loadConfig(env);
  await migrateCatalog(config);
  const within = <T>(work: (system: LockableSystem) => Promise<T>, other = config) =>
    withLockableSystem(other, work);
  const moveAgain = () =>
    within(async (system) => {
      const options = { dryRun: false, holder: 'test', workers: 8, rate: undefined };
      await backfill(system, { ...options, ...moveMemory(config) }, signal);
      await verify(system, { sample: 100, since: undefined, restart: true }, signal);
    });
  await within(async ({ catalog }) => {
    for (const { id, damage, hasBrokenRelation } of legacy.files) {
      if (damage === undefined && !hasBrokenRelation) continue;
      await acknowledge(catalog, id, { reason: 'known', by: 'test', time: '2026-11-29' }, signal);
    }
  });
  await moveAgain();
  return { config, within, moveAgain };
}
