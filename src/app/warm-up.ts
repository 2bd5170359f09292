import { mkdtemp, rm } from 'node:fs/promises';
import { flushCompileCache } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { loadConfig, type Config } from '../config/config.ts';
import { makeWarmUpCalls } from '../rpc/warm-up-calls.ts';
import { openLog } from '../telemetry/log.ts';

/**
 * Makes calls to a second service of this process for `ms` milliseconds, so that V8 compiles what every call runs before
 * callers wait for it. That service has a store and a catalog of its own in a temporary directory, which is removed, and
 * appears in neither the log nor the metrics. Never rejects.
 *
 * @param start - starts a service
 */
export async function warmUp(
  ms: number,
  log: Logger,
  start: (config: Config, log: Logger) => Promise<{ readonly url: string; close(): Promise<void> }>,
): Promise<void> {
  const started = performance.now();
  let dir: string | undefined;
  try {
    dir = await mkdtemp(join(tmpdir(), 'asset-service-warm-up-'));
    const config = loadConfig({
      ASSET_LISTEN: '127.0.0.1:0',
      ASSET_DATA_DIR: dir,
      ASSET_MIN_FREE_SPACE: '0',
      ASSET_SWEEP_INTERVAL: '0',
      ASSET_DRAIN_TIMEOUT: '0',
      ASSET_LIMIT_READS: '0',
      ASSET_WARM_UP: '0',
    });
    // It formats lines, and writes none.
    const silent = openLog('info', { write: () => undefined });
    const service = await start(config, silent);
    try {
      const calls = await makeWarmUpCalls(service.url, performance.now() + ms);
      log.debug({ calls, ms: Math.round(performance.now() - started) }, 'warmed up');
    } finally {
      await service.close();
    }
  } catch (error) {
    log.warn({ err: error }, 'could not warm up: the first calls take longer');
  } finally {
    if (dir !== undefined) await rm(dir, { recursive: true, force: true }).catch(() => undefined);
  }
  flushCompileCache();
}
