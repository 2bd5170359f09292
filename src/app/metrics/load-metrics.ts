import type { Meter } from '@opentelemetry/api';
import type { PoolUse } from '../../catalog/sql/postgres-pool.ts';
import type { Watches } from '../../events/watches.ts';
import type { Admission } from '../../files/upload/admission.ts';
import type { Senders } from '../../rpc/listener/stream-windows.ts';
import type { MemoryBudget } from '../../storage/memory-budget.ts';
import type { HealthMonitor } from '../../telemetry/health-monitor.ts';

/** Parts with a load that metrics show. */
export interface LoadParts {
  readonly admission: Admission;
  readonly budget: MemoryBudget;
  readonly senders: Senders;
  readonly watches: Watches;
  /** Maximum number of watches; 0 for no limit. */
  readonly maxWatches: number;
  readonly health: HealthMonitor;
}

/** Metrics of what the process holds now: uploads, their memory, watches, dependencies. */
export function loadMetrics(meter: Meter, parts: LoadParts): void {
  const { admission, budget, senders, watches, maxWatches, health } = parts;
  meter
    .createObservableGauge('asset.uploads.active', {
      unit: '{upload}',
      description:
        'Running uploads by kind: in one call, a call of an upload over several calls, a part sent to a signed URL',
    })
    .addCallback((result) => {
      for (const [kind, count] of Object.entries(admission.byKind)) result.observe(count, { kind });
      result.observe(senders.parts, { kind: 'part' });
    });
  const gauge = (name: string, unit: string, description: string, read: () => number) =>
    meter.createObservableGauge(name, { unit, description }).addCallback((result) => result.observe(read()));
  const uploads = 'Maximum number of running uploads (ASSET_MAX_UPLOADS), without parts';
  gauge('asset.uploads.limit', '{upload}', uploads, () => admission.max);
  const used = 'Bytes that uploads hold in memory';
  gauge('asset.upload.memory.used', 'By', used, () => budget.usedBytes);
  const limit = 'Maximum number of bytes that uploads hold in memory (ASSET_UPLOAD_MEMORY)';
  gauge('asset.upload.memory.limit', 'By', limit, () => budget.totalBytes);
  const waiting = 'Requests of uploads that wait for memory';
  gauge('asset.upload.memory.waiting', '{request}', waiting, () => budget.waiting);
  const slow = 'Parts of slow callers that hold memory: for a second they have sent nothing to the store';
  gauge('asset.upload.memory.slow', '{part}', slow, () => budget.slow);
  gauge('asset.watches.active', '{watch}', 'Running calls of WatchFiles', () => watches.running);
  const most = 'Maximum number of running watches (ASSET_MAX_WATCHES); 0 for no limit';
  gauge('asset.watches.limit', '{watch}', most, () => maxWatches);
  const serving = '1 if the service is SERVING, otherwise 0';
  gauge('asset.serving', '{status}', serving, () => Number(health.isServing('')));
  meter
    .createObservableGauge('asset.dependency.up', {
      unit: '{status}',
      description: '1 if the dependency works, otherwise 0, by its name in the health service',
    })
    .addCallback((result) => {
      for (const dependency of health.dependencies) {
        result.observe(Number(health.isServing(dependency)), { dependency });
      }
    });
}

/** Metrics of the connections to PostgreSQL. */
export function poolMetrics(meter: Meter, use: () => PoolUse): void {
  const pool = { 'db.client.connection.pool.name': 'catalog' };
  const gauge = (name: string, unit: string, description: string) =>
    meter.createObservableGauge(`db.client.connection.${name}`, { unit, description });
  const count = gauge('count', '{connection}', 'Connections to PostgreSQL by state: used, idle');
  const max = gauge('max', '{connection}', 'Maximum number of connections (ASSET_POSTGRES_CONNECTIONS)');
  const pending = gauge('pending_requests', '{request}', 'Calls that wait for a connection to PostgreSQL');
  meter.addBatchObservableCallback(
    (result) => {
      const now = use();
      result.observe(count, now.used, { ...pool, 'db.client.connection.state': 'used' });
      result.observe(count, now.idle, { ...pool, 'db.client.connection.state': 'idle' });
      result.observe(max, now.max, pool);
      result.observe(pending, now.waiting, pool);
    },
    [count, max, pending],
  );
}
