import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Meter } from '@opentelemetry/api';
import { openLog } from '../../src/telemetry/log.ts';
import { openMetrics, type Metrics } from '../../src/telemetry/metrics.ts';
import { callMetrics } from '../../src/telemetry/call-metrics.ts';
import { driverMetrics } from '../../src/telemetry/driver-metrics.ts';
import { observedCatalog } from '../../src/telemetry/observed.ts';
import { legacyMetrics } from '../../src/app/metrics/legacy-metrics.ts';
import { stateMetrics } from '../../src/app/metrics/state-metrics.ts';
import { sweepMetrics } from '../../src/app/metrics/sweep-metrics.ts';
import { watchMetrics } from '../../src/app/metrics/watch-metrics.ts';
import { openTelemetryConfig } from '../../src/config/open-telemetry.ts';
import { openSqliteCatalog } from '../../src/catalog/sql/sqlite.ts';
import { ANONYMOUS } from '../../src/identity/caller.ts';
import { join } from 'node:path';
import { eventually } from '../support/eventually.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { scrape, sumOf } from '../support/metrics.ts';

describe('the metrics', () => {
  let metrics: Metrics;
  let meter: Meter;
  const now = () => scrape(metrics.port!);

  beforeAll(async () => {
    const listen = { host: '127.0.0.1', port: 0 };
    metrics = await openMetrics({ listen, openTelemetry: false }, openLog('silent'));
    meter = metrics.meter;
  });
  afterAll(() => metrics.close());

  it('name services that use old paths, at most fifty, and no people', async () => {
    const onUse = legacyMetrics(meter);
    const use = (id: string, isService: boolean) =>
      onUse({ ...ANONYMOUS, principal: { ...ANONYMOUS.principal, id, isService } }, 'url');
    for (let i = 0; i < 60; i++) use(`service-${i}`, true);
    use('service-3', true);
    use('alice', false);
    const { values } = (await now()).get('asset_legacy_uses_total')!;
    expect(values.get('{caller="service-3",kind="url"}')).toBe(2);
    expect(values.get('{caller="others",kind="url"}')).toBe(10 + 1);
    expect([...values.keys()].join()).not.toContain('alice');
    expect(values.size).toBe(51);
  });

  it('tell a sweep that failed from one that could not remove something', async () => {
    const onSweep = sweepMetrics(meter);
    const done = { purged: 2, reservations: 1, uploads: 0, cleaned: 3, trimmed: 4 };
    onSweep(undefined);
    expect(sumOf(await now(), 'asset_sweep_last_success_seconds')).toBe(0);
    onSweep({ ...done, failed: { file: 1, id: 0, reservation: 0, upload: 2 }, failures: [] });
    const metrics = await now();
    expect(sumOf(metrics, 'asset_sweep_runs_total', '"failed"')).toBe(1);
    expect(sumOf(metrics, 'asset_sweep_runs_total', '"incomplete"')).toBe(1);
    expect(sumOf(metrics, 'asset_sweep_runs_total', '"complete"')).toBe(0);
    expect(sumOf(metrics, 'asset_sweep_failed_items')).toBe(3);
    expect(sumOf(metrics, 'asset_sweep_removed_total', '"purged"')).toBe(2);
    expect(sumOf(metrics, 'asset_sweep_last_success_seconds')).toBeGreaterThan(1e9);
  });

  it('tell calls of the store from those of the catalog, by outcome', async () => {
    const observe = driverMetrics(metrics);
    observe({ operation: 'store.putPart', durationMs: 30, outcome: 'STORE_UNAVAILABLE' });
    observe({ operation: 'catalog.uploads.open', durationMs: 2, outcome: 'ok' });
    const found = await now();
    const store = found.get('asset_store_call_duration_seconds')!.values;
    expect(store.get('{operation="putPart",outcome="STORE_UNAVAILABLE",le="0.025"}_bucket')).toBe(0);
    expect(store.get('{operation="putPart",outcome="STORE_UNAVAILABLE",le="0.05"}_bucket')).toBe(1);
    const catalog = found.get('asset_catalog_call_duration_seconds')!.values;
    expect(catalog.get('{operation="uploads.open",outcome="ok"}_count')).toBe(1);
  });

  it('count running calls only of those that began', async () => {
    const calls = callMetrics(metrics);
    const ended = { method: 'a.B/C', code: 'UNAUTHENTICATED', reason: 'CREDENTIALS_MISSING', durationMs: 1 };
    calls.begun();
    calls.ended(ended, false);
    expect(sumOf(await now(), 'asset_rpc_active')).toBe(1);
    calls.ended({ ...ended, code: 'OK', reason: '' }, true);
    expect(sumOf(await now(), 'asset_rpc_active')).toBe(0);
    expect(sumOf(await now(), 'asset_rpc_errors_total', '"CREDENTIALS_MISSING"')).toBe(1);
  });

  it('count an event of a subscription as delivered once', async () => {
    const events = watchMetrics(metrics);
    const event = { time: new Date(Date.now() - 2_000) } as never;
    for (const attempt of [1, 2, 3]) {
      events.delivered({ event, attempt, token: '', leaseExpireTime: new Date() });
    }
    events.parked(2);
    const found = await now();
    expect(sumOf(found, 'asset_event_age_seconds', '"subscription"}_count')).toBe(1);
    expect(sumOf(found, 'asset_subscription_redeliveries_total')).toBe(2);
    expect(sumOf(found, 'asset_subscription_parked_total')).toBe(2);
  });

  it('have at most 2,000 combinations of labels, and count what is beyond them together', async () => {
    const text = { unit: '{call}', description: 'x' };
    const mistaken = metrics.counter('asset.mistaken', text, ['id', 'kind']);
    for (let id = 0; id < 2_500; id++) mistaken.record(2, String(id), 'x');
    mistaken.record(2, '7', 'x');
    const { values } = (await now()).get('asset_mistaken_total')!;
    expect(values.size).toBe(2_001);
    expect(values.get('{id="7",kind="x"}')).toBe(4);
    expect(values.get('{otel_metric_overflow="true"}')).toBe(500 * 2);
  });

  it('have no values of a catalog that does not answer', async () => {
    const dir = await makeDir('metrics');
    const opened = openSqliteCatalog({ path: join(dir, 'catalog.sqlite') });
    await opened.migrate();
    let isDown = false;
    const catalog = observedCatalog(opened, undefined, (_operation, call) =>
      isDown ? Promise.reject(new Error('down')) : call(),
    );
    const stop = stateMetrics(metrics, { catalog }, 50);
    const names = [
      'asset_changes_lag_seconds',
      'asset_sweep_backlog',
      'asset_move_state',
      'asset_verify_files',
    ];
    const sizes = async () => {
      const found = await now();
      return names.map((name) => found.get(name)?.values.size ?? 0);
    };
    await eventually(async () => expect(await sizes()).toEqual([1, 3, 3, 4]));
    for (const move of ['"catalog"', '"store"', '"legacy"']) {
      expect(sumOf(await now(), 'asset_move_state', move, '"none"')).toBe(1);
    }
    isDown = true;
    await eventually(async () => expect(await sizes()).toEqual([0, 0, 0, 0]));
    await opened.close();
    await removeDir(dir);
    stop();
  });
});

describe('the variables of OpenTelemetry', () => {
  const signals = (environment: Record<string, string>) => {
    const { logs, metrics, traces } = openTelemetryConfig(environment);
    return Object.entries({ logs, metrics, traces }).flatMap(([name, isOn]) => (isOn ? [name] : []));
  };

  it.each([
    [{}, []],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318' }, ['logs', 'metrics', 'traces']],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://c:4318' }, ['traces']],
    [{ OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: 'http://c:4318' }, ['metrics']],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318', OTEL_METRICS_EXPORTER: 'none' }, ['logs', 'traces']],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318', OTEL_SDK_DISABLED: 'true' }, []],
    [{ OTEL_TRACES_EXPORTER: 'otlp' }, ['traces']],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: '', OTEL_LOGS_EXPORTER: '' }, []],
  ])('%j export %j', (environment, expected) => {
    expect(signals(environment as Record<string, string>)).toEqual(expected);
    expect(openTelemetryConfig(environment as Record<string, string>).doubts).toEqual([]);
  });

  it('are named if the service does not support their value', () => {
    const environment = {
      ...{ OTEL_TRACES_EXPORTER: 'zipkin', OTEL_METRICS_EXPORTER: 'prometheus,otlp' },
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    };
    expect(signals(environment)).toEqual(['metrics']);
    expect(openTelemetryConfig(environment).doubts).toEqual([
      'OTEL_METRICS_EXPORTER: prometheus is not supported: set ASSET_METRICS_LISTEN',
      'OTEL_EXPORTER_OTLP_PROTOCOL: grpc is not supported: name the HTTP port of the collector (4318)',
      'OTEL_TRACES_EXPORTER: zipkin is not supported: use otlp or none',
    ]);
    const signal = 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT';
    const wrong = { [signal]: 'collector:4318', OTEL_EXPORTER_OTLP_PROTOCOL: 'http/xml' };
    expect(openTelemetryConfig(wrong).doubts).toEqual([
      'OTEL_EXPORTER_OTLP_PROTOCOL: http/xml is not supported: name the HTTP port of the collector (4318)',
      `${signal}: must be a URL such as http://host:4318`,
    ]);
  });
});
