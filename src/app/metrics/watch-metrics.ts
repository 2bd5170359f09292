import type { Meter } from '@opentelemetry/api';
import type { WatchObserver } from '../../events/context.ts';

/** Metrics of the events that callers get from watches and subscriptions. */
export function watchMetrics(meter: Meter): WatchObserver {
  const age = meter.createHistogram('asset.event.age', {
    unit: 's',
    description: 'Time from a change until its event was sent, by way: watch, subscription (first delivery)',
  });
  const again = meter.createCounter('asset.subscription.redeliveries', {
    unit: '{event}',
    description: 'Events of subscriptions that were delivered again',
  });
  again.add(0);
  const parked = meter.createCounter('asset.subscription.parked', {
    unit: '{event}',
    description: 'Events of subscriptions that were parked after their last delivery failed',
  });
  parked.add(0);
  return {
    sent: (time) => age.record(Math.max(0, Date.now() - time.getTime()) / 1000, { way: 'watch' }),
    delivered({ event, attempt }) {
      if (attempt > 1) return again.add(1);
      age.record(Math.max(0, Date.now() - event.time.getTime()) / 1000, { way: 'subscription' });
    },
    parked: (count) => parked.add(count),
  };
}
