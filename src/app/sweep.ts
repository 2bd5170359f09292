import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { deepSweep, type DeepSweepOptions, type DeepSweepReport } from '../files/sweep/deep.ts';
import { previewSweep } from '../files/sweep/sweep.ts';
import type { SweepReport } from '../files/sweep/run.ts';
import { Sweeper } from '../files/sweep/sweeper.ts';
import { openLog } from '../telemetry/log.ts';
import { assertFits } from './catalog.ts';
import { createLogger } from './drivers.ts';
import { withStore } from './served-store.ts';
import { withServingCatalog } from './serving-catalog.ts';

/**
 * Sweeps once, or returns what a sweep would do.
 *
 * @returns undefined if another process is sweeping
 * @throws SettingsError if the settings do not fit the catalog
 */
export function sweepOnce(
  config: Config,
  options: { readonly dryRun: boolean },
  log: Logger = createLogger(config),
): Promise<SweepReport | undefined> {
  return withServingCatalog(config, log, async (catalog) => {
    await assertFits(catalog, config);
    const { ASSET_SWEEP_RATE: deletionsPerSecond, ASSET_CHANGES_RETENTION: changesRetentionMs } =
      config.settings;
    const graceMs = config.settings.ASSET_RESERVATION_TTL;
    if (options.dryRun) return previewSweep({ catalog }, { changesRetentionMs });
    return withStore(config, { log, catalog }, async (store) => {
      const how = { intervalMs: 0, deletionsPerSecond, changesRetentionMs };
      const sweeper = new Sweeper({ store, catalog, log, policies: config.policies, graceMs }, how);
      try {
        return await sweeper.sweepNow();
      } finally {
        await sweeper.close();
      }
    });
  });
}

/** Runs {@link deepSweep} on the configured store and catalog. */
export function deepSweepOnce(
  config: Config,
  options: Omit<DeepSweepOptions, 'graceMs' | 'holder' | 'deletionsPerSecond'> & {
    /** Like {@link DeepSweepOptions.graceMs}; default ASSET_RESERVATION_TTL. */
    readonly graceMs: number | undefined;
  },
  signal: AbortSignal,
  log: Logger = openLog(config.settings.ASSET_LOG_LEVEL),
): Promise<DeepSweepReport> {
  const { ASSET_RESERVATION_TTL, ASSET_SWEEP_RATE: deletionsPerSecond } = config.settings;
  const graceMs = options.graceMs ?? ASSET_RESERVATION_TTL;
  const more = { graceMs, holder: randomUUID(), deletionsPerSecond };
  return withServingCatalog(config, log, async (catalog) => {
    await assertFits(catalog, config);
    return withStore(config, { log, catalog }, (store) =>
      deepSweep({ store, catalog, log }, { ...options, ...more }, signal),
    );
  });
}
