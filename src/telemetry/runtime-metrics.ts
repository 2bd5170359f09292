import type { Meter, ObservableGauge } from '@opentelemetry/api';
import { constants, monitorEventLoopDelay, performance, PerformanceObserver } from 'node:perf_hooks';
import { cpuUsage, memoryUsage, uptime } from 'node:process';
import { getHeapStatistics } from 'node:v8';
import type { Metrics } from './metrics.ts';

const RESOLUTION_MS = 10;

/** Kinds of garbage collection, by the numbers of Node.js. */
const GC_TYPES: ReadonlyMap<number, string> = new Map([
  [constants.NODE_PERFORMANCE_GC_MINOR, 'minor'],
  [constants.NODE_PERFORMANCE_GC_MAJOR, 'major'],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, 'incremental'],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, 'weakcb'],
]);

/**
 * Metrics of the process: event loop, garbage collection, memory, CPU time.
 *
 * @returns a function that stops the measuring
 */
export function runtimeMetrics({ meter, histogram }: Pick<Metrics, 'meter' | 'histogram'>): () => void {
  const stopDelay = eventLoopMetrics(meter);
  const stopGc = gcMetrics(histogram);
  memoryMetrics(meter);
  meter
    .createObservableCounter('process.cpu.time', {
      unit: 's',
      description: 'CPU time of the process by mode',
    })
    .addCallback((result) => {
      const { user, system } = cpuUsage();
      result.observe(user / 1e6, { 'cpu.mode': 'user' });
      result.observe(system / 1e6, { 'cpu.mode': 'system' });
    });
  meter
    .createObservableGauge('process.uptime', {
      unit: 's',
      description: 'Time since the start of the process',
    })
    .addCallback((result) => result.observe(uptime()));
  return () => {
    stopGc();
    stopDelay();
  };
}

/**
 * How long garbage collections are watched, in milliseconds, and in which share of the time. Node.js takes some 100 µs to
 * tell of one, and a busy service has one every 30 calls or so: watched all the time they would cost 5 % of an empty call.
 */
const GC_WATCH_MS = 1_000;
const GC_SHARE = 10;

function gcMetrics(histogram: Metrics['histogram']): () => void {
  const gc = histogram(
    'v8js.gc.duration',
    {
      unit: 's',
      description: 'Duration of garbage collections by kind, estimated from one second in ten',
    },
    ['v8js.gc.type'],
  );
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { duration, detail } = entry as unknown as { duration: number; detail?: { kind?: number } };
      const type = GC_TYPES.get(detail?.kind ?? 0) ?? 'other';
      // Each stands for those that were not watched.
      for (let i = 0; i < GC_SHARE; i++) gc.record(duration / 1000, type);
    }
  });
  let end: NodeJS.Timeout | undefined;
  const watch = () => {
    observer.observe({ entryTypes: ['gc'] });
    end = setTimeout(() => observer.disconnect(), GC_WATCH_MS).unref();
  };
  watch();
  const timer = setInterval(watch, GC_WATCH_MS * GC_SHARE).unref();
  return () => {
    clearInterval(timer);
    clearTimeout(end);
    observer.disconnect();
  };
}

function eventLoopMetrics(meter: Meter): () => void {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  const gauge = (name: string, what: string): ObservableGauge =>
    meter.createObservableGauge(`nodejs.eventloop.delay.${name}`, {
      unit: 's',
      description: `${what} delay of the event loop since the last reading`,
    });
  const gauges = [
    { gauge: gauge('p50', 'Median'), read: () => delay.percentile(50) },
    { gauge: gauge('p99', '99th percentile of the'), read: () => delay.percentile(99) },
    { gauge: gauge('max', 'Maximum'), read: () => delay.max },
  ];
  // The timer itself takes the resolution.
  const toSeconds = (ns: number) => Math.max(0, ns / 1e9 - RESOLUTION_MS / 1000);
  meter.addBatchObservableCallback(
    (result) => {
      for (const { gauge, read } of gauges) result.observe(gauge, toSeconds(read()));
      delay.reset();
    },
    gauges.map(({ gauge }) => gauge),
  );
  let last = performance.eventLoopUtilization();
  meter
    .createObservableGauge('nodejs.eventloop.utilization', {
      unit: '1',
      description: 'Share of the time since the last reading in which the event loop was busy',
    })
    .addCallback((result) => {
      const now = performance.eventLoopUtilization();
      result.observe(performance.eventLoopUtilization(now, last).utilization);
      last = now;
    });
  return () => void delay.disable();
}

function memoryMetrics(meter: Meter): void {
  meter
    .createObservableGauge('process.memory.usage', {
      unit: 'By',
      description: 'Resident memory of the process',
    })
    .addCallback((result) => result.observe(memoryUsage.rss()));
  meter
    .createObservableGauge('v8js.memory.heap.used', {
      unit: 'By',
      description: 'Used memory of the JavaScript heap',
    })
    .addCallback((result) => result.observe(getHeapStatistics().used_heap_size));
  meter
    .createObservableGauge('v8js.memory.heap.limit', {
      unit: 'By',
      description: 'Maximum size of the JavaScript heap',
    })
    .addCallback((result) => result.observe(getHeapStatistics().heap_size_limit));
}
