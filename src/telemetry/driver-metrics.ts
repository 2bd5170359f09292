import type { Metrics } from './metrics.ts';
import type { Observer } from './observed.ts';
import type { CallMetric } from './own-metrics.ts';

/** Metrics of the calls of the store and the catalog, by operation and outcome. */
export function driverMetrics({ histogram }: Pick<Metrics, 'histogram'>): Observer {
  const of = (part: 'store' | 'catalog') =>
    histogram(
      `asset.${part}.call.duration`,
      { unit: 's', description: `Duration of calls of the ${part}, with retries, by operation and outcome` },
      ['operation', 'outcome'],
    );
  const parts = { store: of('store'), catalog: of('catalog') };
  /** The histogram of an operation, and its name there. */
  const known = new Map<string, { readonly duration: CallMetric; readonly name: string }>();
  const lookUp = (operation: string) => {
    const at = operation.indexOf('.');
    const found = {
      duration: parts[operation.slice(0, at) as 'store' | 'catalog'],
      name: operation.slice(at + 1),
    };
    known.set(operation, found);
    return found;
  };
  return ({ operation, durationMs, outcome }) => {
    const { duration, name } = known.get(operation) ?? lookUp(operation);
    duration.record(durationMs / 1000, name, outcome);
  };
}
