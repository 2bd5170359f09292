import type { Config } from '../config/config.ts';
import type { FilesContext } from '../files/context.ts';
import type { Authenticator } from '../identity/authenticator.ts';
import type { Dependency } from '../telemetry/health-monitor.ts';
import { catalogDependency } from './catalog.ts';
import type { Logger } from 'pino';
import type { BlobStore } from '../storage/blob-store.ts';

/** Smaller differences do no harm: URLs and requests are signed with the store's clock. */
const REPORTED_MS = 30_000;

/**
 * The store's check, which also warns the operator, once per change, if this machine's clock and the store's
 * differ. Expiry times in the catalog use this machine's clock.
 */
function withClockReport(store: BlobStore, log: Logger): BlobStore['check'] {
  let reported = 0;
  return async (call) => {
    try {
      await store.check(call);
    } finally {
      const offsetMs = store.now().getTime() - Date.now();
      const offsetSeconds = Math.abs(offsetMs) < REPORTED_MS ? 0 : Math.round(offsetMs / 1000);
      if (Math.abs(offsetSeconds - reported) * 1000 >= REPORTED_MS) {
        reported = offsetSeconds;
        if (offsetSeconds === 0) log.info('the clocks of this machine and of the store agree again');
        else
          log.warn(
            { store: store.kind, offsetSeconds },
            'the clock of the store is ahead of the clock of this machine by offsetSeconds; URLs and requests are signed by the clock of the store: set the clock of this machine right',
          );
      }
    }
  };
}

/** What health checks: everything that the service needs, and what it can work without. */
export function dependenciesOf(
  config: Config,
  parts: {
    readonly files: FilesContext;
    readonly authenticator: Authenticator;
    readonly oldBucket: Dependency | undefined;
    readonly nextStore: Dependency | undefined;
    readonly log: Logger;
  },
): Dependency[] {
  const { files, authenticator, oldBucket, nextStore, log } = parts;
  const { store, catalog, policies, scanning } = files;
  const dependencies: Dependency[] = [
    { name: 'store', check: withClockReport(store, log) },
    catalogDependency(catalog, { policies, migrates: config.settings.ASSET_MIGRATE }, log),
  ];
  if (oldBucket) dependencies.push(oldBucket);
  if (nextStore) dependencies.push(nextStore);
  if (config.identity.kind !== 'none') {
    dependencies.push({ name: 'identity', check: () => authenticator.check() });
  }
  if (scanning) {
    const { scanner, failOpen } = scanning;
    dependencies.push({ name: 'scanner', optional: failOpen, check: (call) => scanner.check(call) });
  }
  return dependencies;
}
