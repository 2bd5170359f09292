import type { Meter } from '@opentelemetry/api';
import type { MakerParts } from '../../variants/maker.ts';
import type { StoredVariants } from '../../variants/stored-variants.ts';

/** Metrics of the variants that this process makes. */
export function variantMetrics(meter: Meter): NonNullable<MakerParts['onMade']> {
  const duration = meter.createHistogram('asset.variant.duration', {
    unit: 's',
    description:
      'Duration of making a variant, by outcome: made, error, or why none can be made, such as damaged',
  });
  return (outcome, durationMs) => duration.record(durationMs / 1000, { outcome });
}

/** Metrics of the load of what makes variants. */
export function variantLoadMetrics(meter: Meter, renderer: StoredVariants['renderer']): void {
  meter
    .createObservableGauge('asset.variants.active', {
      unit: '{variant}',
      description: 'Variants by state: running, or waiting for a free process',
    })
    .addCallback((result) => {
      result.observe(renderer.active, { state: 'running' });
      result.observe(renderer.waiting, { state: 'waiting' });
    });
  meter
    .createObservableGauge('asset.variants.limit', {
      unit: '{variant}',
      description: 'Variants that are made at the same time (ASSET_VARIANT_CONCURRENCY)',
    })
    .addCallback((result) => result.observe(renderer.concurrency));
}
