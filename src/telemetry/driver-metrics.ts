import type { Series } from './own-metrics.ts';
import type { Metrics } from './metrics.ts';
import type { Observer } from './observed.ts';

/** Metrics of the calls of the store and the catalog, by operation and outcome. */
export function driverMetrics({ histogram }: Pick<Metrics, 'histogram'>): Observer {
  const of = (part: 'store' | 'catalog') =>
    histogram(`asset.${part}.call.duration`, {
      unit: 's',
      description: `Duration of calls of the ${part}, with retries, by operation and outcome`,
    });
  const parts = { store: of('store'), catalog: of('catalog') };
  const all = new Map<string, Map<string, Series>>();
  return ({ operation: name, durationMs, outcome }) => {
    let ofName = all.get(name);
    if (ofName === undefined) all.set(name, (ofName = new Map<string, Series>()));
    let series = ofName.get(outcome);
    if (series === undefined) {
      const at = name.indexOf('.');
      const duration = parts[name.slice(0, at) as 'store' | 'catalog'];
      series = duration.series({ operation: name.slice(at + 1), outcome });
      ofName.set(outcome, series);
    }
    series.record(durationMs / 1000);
  };
}
