import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { deepSweep, type DeepSweepOptions, type DeepSweepReport } from '../files/sweep/deep.ts';
import { openLog } from '../telemetry/log.ts';
import { addressUrl, openCatalog, openStore } from './drivers.ts';

/** Runs {@link deepSweep} on the configured store and catalog. */
export async function deepSweepOnce(
  config: Config,
  options: Omit<DeepSweepOptions, 'graceMs' | 'holder' | 'deletionsPerSecond'> & {
    /** Like {@link DeepSweepOptions.graceMs}; default ASSET_RESERVATION_TTL. */
    readonly graceMs: number | undefined;
  },
  signal: AbortSignal,
  log: Logger = openLog(config.settings.ASSET_LOG_LEVEL),
): Promise<DeepSweepReport> {
  const { settings } = config;
  const catalog = await openCatalog(config, { mustExist: true });
  try {
    // No URLs are signed, so their address does not matter.
    const { store } = await openStore(config, addressUrl(config, 0), log);
    try {
      const graceMs = options.graceMs ?? settings.ASSET_RESERVATION_TTL;
      const more = { graceMs, holder: randomUUID(), deletionsPerSecond: settings.ASSET_SWEEP_RATE };
      return await deepSweep({ store, catalog, log }, { ...options, ...more }, signal);
    } finally {
      await store.close();
    }
  } finally {
    await catalog.close();
  }
}
