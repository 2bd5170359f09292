import type { Logger } from 'pino';
import type { PoolUse } from '../../catalog/sql/postgres-pool.ts';
import type { Config } from '../../config/config.ts';
import { metricsListenFault } from '../../config/explain.ts';
import type { WatchObserver } from '../../events/context.ts';
import type { SweepReport } from '../../files/sweep/run.ts';
import type { Caller } from '../../identity/caller.ts';
import type { PathKind } from '../../legacy/old-path.ts';
import type { CallObserver } from '../../telemetry/call-metrics.ts';
import type { RequestObserver } from '../../telemetry/request-metrics.ts';
import type { Observer } from '../../telemetry/observed.ts';
import type { MakerParts } from '../../variants/maker.ts';
import type { StoredVariants } from '../../variants/stored-variants.ts';
import { legacyMetrics } from './legacy-metrics.ts';
import { loadMetrics, poolMetrics, type LoadParts } from './load-metrics.ts';
import { stateMetrics, type StateParts } from './state-metrics.ts';
import { sweepMetrics } from './sweep-metrics.ts';
import { variantLoadMetrics, variantMetrics } from './variant-metrics.ts';
import { watchMetrics } from './watch-metrics.ts';

/** What the parts of the service report to, and what reads them. All metrics are in docs/metrics.md. */
export interface AppMetrics {
  readonly calls: CallObserver;
  readonly requests: RequestObserver;
  readonly drivers: Observer;
  readonly events: WatchObserver;
  readonly onSweep: (report: SweepReport | undefined) => void;
  readonly onVariantMade: NonNullable<MakerParts['onMade']>;
  readonly onLegacyUse: (caller: Caller, kind: PathKind) => void;
  readonly watchPool: (use: () => PoolUse) => void;
  /** Reads these parts from now on. */
  readonly observe: (parts: LoadParts & StateParts & Pick<StoredVariants, 'renderer'>) => void;
  close(): Promise<void>;
}

/**
 * Opens the metrics of the service; undefined if the settings want none. Then nothing is measured or loaded.
 *
 * @throws ExplainedError if the port cannot be opened
 */
export async function openAppMetrics(config: Config, log: Logger): Promise<AppMetrics | undefined> {
  const { listen, openTelemetry } = config.metrics;
  if (listen === undefined && !openTelemetry) return undefined;
  const [{ openMetrics }, { callMetrics }, { driverMetrics }, { requestMetrics }, { runtimeMetrics }] =
    await Promise.all([
      import('../../telemetry/metrics.ts'),
      import('../../telemetry/call-metrics.ts'),
      import('../../telemetry/driver-metrics.ts'),
      import('../../telemetry/request-metrics.ts'),
      import('../../telemetry/runtime-metrics.ts'),
    ]);
  const metrics = await openMetrics(config.metrics, log).catch((error: unknown) => {
    throw metricsListenFault(error, config.settings);
  });
  const { meter, port } = metrics;
  if (listen) log.info({ host: listen.host, port }, 'metrics can be scraped at /metrics');
  const stopRuntime = runtimeMetrics(metrics);
  let stopPolling: (() => void) | undefined;
  return {
    calls: callMetrics(metrics),
    requests: requestMetrics(meter),
    drivers: driverMetrics(metrics),
    events: watchMetrics(metrics),
    onSweep: sweepMetrics(meter),
    onVariantMade: variantMetrics(meter),
    onLegacyUse: legacyMetrics(meter),
    watchPool: (use) => poolMetrics(meter, use),
    observe(parts) {
      loadMetrics(meter, parts);
      variantLoadMetrics(meter, parts.renderer);
      stopPolling = stateMetrics(metrics, parts);
    },
    async close() {
      stopPolling?.();
      stopRuntime();
      await metrics.close();
    },
  };
}
