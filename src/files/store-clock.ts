import type { Logger } from 'pino';
import type { BlobStore } from '../storage/blob-store.ts';

/** Differences below this harm nothing: URLs and requests are signed by the store's clock. */
const REPORTED_MS = 30_000;

/**
 * The store's check, which also tells the operator, once for each change, that the clock of this machine and that of the
 * store differ. Expiry times in the catalog still go by the clock of this machine.
 */
export function withClockReport(store: BlobStore, log: Logger): BlobStore['check'] {
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
