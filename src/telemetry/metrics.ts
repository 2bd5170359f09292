import type { Meter } from '@opentelemetry/api';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { AggregationType, InstrumentType, MeterProvider, type ViewOptions } from '@opentelemetry/sdk-metrics';
import {
  PeriodicExportingMetricReader,
  type IMetricReader,
  type MetricProducer,
} from '@opentelemetry/sdk-metrics';
import { env } from 'node:process';
import type { Logger } from 'pino';
import { OwnMetrics, type CallMetric, type GaugeValue, type MetricText } from './own-metrics.ts';
import { processResource, reportExportFailures } from './open-telemetry.ts';
import { listenForScrapes } from './prometheus.ts';

/** Where metrics go. */
export interface MetricsConfig {
  /** Where Prometheus scrapes them; undefined for nowhere. */
  readonly listen: { readonly host: string; readonly port: number } | undefined;
  /** True to send them over OTLP as well. */
  readonly openTelemetry: boolean;
}

/** The metrics of the process. */
export interface Metrics {
  /** Creates instruments. Their names, units and descriptions are documented in docs/metrics.md. */
  readonly meter: Meter;
  /** Creates a histogram of seconds for what every call records, with at most two labels. */
  readonly histogram: (name: string, text: MetricText, labels: readonly string[]) => CallMetric;
  /** Creates a counter for what every call records, with at most two labels. */
  readonly counter: (name: string, text: MetricText, labels: readonly string[]) => CallMetric;
  /** Creates a gauge whose labels come and go; `read` gives its present values. */
  readonly gauge: (name: string, text: MetricText, read: () => readonly GaugeValue[]) => void;
  /** Port of the Prometheus endpoint; undefined without one. */
  readonly port: number | undefined;
  /** Sends the last values and stops. */
  close(): Promise<void>;
}

/** Upper bounds of the buckets of every histogram of seconds. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** Maximum number of label combinations of one metric: a bound for mistakes, far above what there is. */
const MAX_SERIES = 2_000;

/** Time between two exports over OTLP, in milliseconds, and how long one may take, unless the environment says else. */
const EXPORT_EVERY_MS = 60_000;
const EXPORT_TIMEOUT_MS = 30_000;

const VIEWS: ViewOptions[] = [
  {
    instrumentType: InstrumentType.HISTOGRAM,
    aggregation: { type: AggregationType.EXPLICIT_BUCKET_HISTOGRAM, options: { boundaries: SECONDS } },
    aggregationCardinalityLimit: MAX_SERIES,
  },
];

/**
 * Opens the one provider of metrics, with what reads it: the Prometheus endpoint, OTLP, or both.
 *
 * @throws the error of a port that cannot be opened
 */
export async function openMetrics({ listen, openTelemetry }: MetricsConfig, log: Logger): Promise<Metrics> {
  reportExportFailures(log);
  const resource = processResource();
  const own = new OwnMetrics(resource, SECONDS);
  const scrapes = listen && (await listenForScrapes(listen, [own]));
  const readers: IMetricReader[] = [
    ...(scrapes ? [scrapes.reader] : []),
    ...(openTelemetry ? [otlpReader([own])] : []),
  ];
  const provider = new MeterProvider({ resource, readers, views: VIEWS });
  return {
    meter: provider.getMeter('asset-service'),
    histogram: (name, text, labels) => own.histogram(name, text, labels),
    counter: (name, text, labels) => own.counter(name, text, labels),
    gauge: (name, text, read) => own.gauge(name, text, read),
    port: scrapes?.port,
    async close() {
      // A collector that does not answer must not keep the process from its end.
      await provider.shutdown({ timeoutMillis: 5_000 }).catch(() => undefined);
      await scrapes?.close();
    },
  };
}

function otlpReader(metricProducers: MetricProducer[]): IMetricReader {
  const exportIntervalMillis = Number(env['OTEL_METRIC_EXPORT_INTERVAL']) || EXPORT_EVERY_MS;
  const timeout = Number(env['OTEL_METRIC_EXPORT_TIMEOUT']) || EXPORT_TIMEOUT_MS;
  return new PeriodicExportingMetricReader({
    exporter: new OTLPMetricExporter(),
    metricProducers,
    exportIntervalMillis,
    exportTimeoutMillis: Math.min(timeout, exportIntervalMillis),
  });
}
