import type { WatchObserver } from '../../events/context.ts';
import type { Metrics } from '../../telemetry/metrics.ts';

/** Metrics of the events that callers get from watches and subscriptions. */
export function watchMetrics({ histogram, counter }: Pick<Metrics, 'histogram' | 'counter'>): WatchObserver {
  const age = histogram(
    'asset.event.age',
    {
      unit: 's',
      description:
        'Time from a change until its event was sent, by way: watch, subscription (first delivery)',
    },
    ['way'],
  );
  const again = counter(
    'asset.subscription.redeliveries',
    { unit: '{event}', description: 'Events of subscriptions that were delivered again' },
    [],
  );
  again.record(0);
  const parked = counter(
    'asset.subscription.parked',
    {
      unit: '{event}',
      description: 'Events of subscriptions that were parked after their last delivery failed',
    },
    [],
  );
  parked.record(0);
  return {
    sent: (time) => age.record(Math.max(0, Date.now() - time.getTime()) / 1000, 'watch'),
    delivered({ event, attempt }) {
      if (attempt > 1) return again.record(1);
      age.record(Math.max(0, Date.now() - event.time.getTime()) / 1000, 'subscription');
    },
    parked: (count) => parked.record(count),
  };
}
