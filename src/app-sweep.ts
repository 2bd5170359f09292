import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { Config } from './config.ts';
import { deepSweep, type DeepSweepOptions, type DeepSweepReport } from './files/sweep/deep.ts';
import { openLog } from './log.ts';
import { addressUrl, openCatalog, openStore } from './app-drivers.ts';

/** Sweeps all that lies in the store, not only what the catalog lists; see {@link deepSweep}. */
export async function deepSweepOnce(
  config: Config,
  options: Omit<DeepSweepOptions, 'graceMs' | 'holder' | 'deletionsPerSecond'> & {
    /** As {@link DeepSweepOptions.graceMs}; ASSET_RESERVATION_TTL where left out. */
    readonly graceMs: number | undefined;
  },
  signal: AbortSignal,
  log: Logger = openLog(config.settings.ASSET_LOG_LEVEL),
): Promise<DeepSweepReport> {
  const { settings } = config;
  const catalog = await openCatalog(config, { mustExist: true });
  try {
    // No URL is asked for, so it does not matter what they would start with.
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
