import type { Attributes, Meter } from '@opentelemetry/api';
import type { Observer } from './observed.ts';

/** Metrics of the calls of the store and the catalog, by operation and outcome. */
export function driverMetrics(meter: Meter): Observer {
  const of = (part: 'store' | 'catalog') => ({
    duration: meter.createHistogram(`asset.${part}.call.duration`, {
      unit: 's',
      description: `Duration of calls of the ${part}, with retries, by operation and outcome`,
    }),
    labels: new Map<string, Attributes>(),
  });
  const parts = { store: of('store'), catalog: of('catalog') };
  return ({ operation: name, durationMs, outcome }) => {
    const at = name.indexOf('.');
    const { duration, labels } = parts[name.slice(0, at) as 'store' | 'catalog'];
    const key = `${name} ${outcome}`;
    let attributes = labels.get(key);
    if (attributes === undefined) {
      attributes = { operation: name.slice(at + 1), outcome };
      labels.set(key, attributes);
    }
    duration.record(durationMs / 1000, attributes);
  };
}
