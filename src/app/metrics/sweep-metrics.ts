import type { Meter } from '@opentelemetry/api';
import type { SweepReport } from '../../files/sweep/run.ts';

/** Metrics of the sweeps of this process. */
export function sweepMetrics(meter: Meter): (report: SweepReport | undefined) => void {
  const runs = meter.createCounter('asset.sweep.runs', {
    unit: '{sweep}',
    description:
      'Sweeps of this process by outcome: complete, incomplete (something could not be removed), failed',
  });
  for (const outcome of ['complete', 'incomplete', 'failed']) runs.add(0, { outcome });
  const removed = meter.createCounter('asset.sweep.removed', {
    unit: '{item}',
    description: 'What the sweeps of this process removed, by kind',
  });
  for (const kind of ['purged', 'reservations', 'uploads', 'cleaned', 'trimmed']) removed.add(0, { kind });
  let failed: SweepReport['failed'] = { file: 0, id: 0, reservation: 0, upload: 0 };
  let succeededAt = 0;
  meter
    .createObservableGauge('asset.sweep.failed.items', {
      unit: '{item}',
      description: 'Items that the last sweep of this process could not remove, by kind',
    })
    .addCallback((result) => {
      for (const [kind, count] of Object.entries(failed)) result.observe(count, { kind });
    });
  meter
    .createObservableGauge('asset.sweep.last.success', {
      unit: 's',
      description:
        'When the last sweep of this process ended that did not fail, in seconds since 1970; 0 if there was none. One replica sweeps at a time: take the maximum',
    })
    .addCallback((result) => result.observe(succeededAt));
  return (report) => {
    if (report === undefined) return runs.add(1, { outcome: 'failed' });
    const { purged, reservations, uploads, cleaned, trimmed } = report;
    for (const [kind, count] of Object.entries({ purged, reservations, uploads, cleaned, trimmed })) {
      removed.add(count, { kind });
    }
    failed = report.failed;
    succeededAt = Date.now() / 1000;
    const isComplete = Object.values(failed).every((count) => count === 0);
    runs.add(1, { outcome: isComplete ? 'complete' : 'incomplete' });
  };
}
