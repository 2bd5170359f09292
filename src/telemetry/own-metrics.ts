import { ValueType, type Attributes, type HrTime } from '@opentelemetry/api';
import {
  AggregationTemporality,
  DataPointType,
  type CollectionResult,
  type GaugeMetricData,
  type HistogramMetricData,
  type MetricProducer,
} from '@opentelemetry/sdk-metrics';
import type { Resource } from '@opentelemetry/resources';

/** Name, unit and meaning of a metric. */
export interface MetricText {
  readonly unit: string;
  readonly description: string;
}

/** The values of a histogram with the same labels. */
export interface Series {
  record(value: number): void;
}

/** A histogram whose labels are looked up by its user, once for each combination. */
export interface CallHistogram {
  series(attributes: Attributes): Series;
}

class Buckets implements Series {
  readonly counts: number[];
  sum = 0;
  count = 0;
  readonly attributes: Attributes;
  readonly #boundaries: readonly number[];

  constructor(attributes: Attributes, boundaries: readonly number[]) {
    [this.attributes, this.#boundaries] = [attributes, boundaries];
    this.counts = Array<number>(boundaries.length + 1).fill(0);
  }

  record(value: number): void {
    const boundaries = this.#boundaries;
    let at = 0;
    // Most calls are fast, so the first buckets are the likely ones.
    while (at < boundaries.length && value > boundaries[at]!) at += 1;
    this.counts[at]! += 1;
    this.sum += value;
    this.count += 1;
  }
}

/** A value of a gauge, with its labels. */
export type GaugeValue = readonly [value: number, labels?: Readonly<Record<string, string>>];

/**
 * Metrics that instruments of OpenTelemetry do not fit.
 *
 * Histograms of what every call records: an instrument of OpenTelemetry sorts and hashes the labels of each value, which
 * costs several microseconds of a call; a series of these costs a tenth of one.
 *
 * Gauges whose labels come and go: those of OpenTelemetry show a value that is gone for ever.
 */
export class OwnMetrics implements MetricProducer {
  readonly #resource: Resource;
  readonly #boundaries: readonly number[];
  readonly #startTime = now();
  readonly #gauges: {
    readonly name: string;
    readonly text: MetricText;
    readonly read: () => readonly GaugeValue[];
  }[] = [];
  readonly #histograms: { readonly name: string; readonly text: MetricText; readonly all: Buckets[] }[] = [];

  /** @param boundaries - upper bounds of the buckets, ascending */
  constructor(resource: Resource, boundaries: readonly number[]) {
    this.#resource = resource;
    this.#boundaries = boundaries;
  }

  /** Adds a gauge; `read` gives its present values. */
  gauge(name: string, text: MetricText, read: () => readonly GaugeValue[]): void {
    this.#gauges.push({ name, text, read });
  }

  /** Adds a histogram. */
  histogram(name: string, text: MetricText): CallHistogram {
    const all: Buckets[] = [];
    this.#histograms.push({ name, text, all });
    return {
      series: (attributes) => {
        const one = new Buckets(attributes, this.#boundaries);
        all.push(one);
        return one;
      },
    };
  }

  collect(): Promise<CollectionResult> {
    const endTime = now();
    const histograms = this.#histograms
      .filter(({ all }) => all.length > 0)
      .map(({ name, text, all }): HistogramMetricData => {
        const dataPoints = all.map(({ attributes, counts, sum, count }) => {
          const buckets = { boundaries: [...this.#boundaries], counts: [...counts] };
          return { startTime: this.#startTime, endTime, attributes, value: { buckets, sum, count } };
        });
        return {
          descriptor: { name, ...text, valueType: ValueType.DOUBLE },
          aggregationTemporality: AggregationTemporality.CUMULATIVE,
          dataPointType: DataPointType.HISTOGRAM,
          dataPoints,
        };
      });
    const gauges = this.#gauges.map(({ name, text, read }): GaugeMetricData => {
      const dataPoints = read().map(([value, attributes = {}]) => {
        return { startTime: this.#startTime, endTime, attributes, value };
      });
      return {
        descriptor: { name, ...text, valueType: ValueType.DOUBLE },
        aggregationTemporality: AggregationTemporality.CUMULATIVE,
        dataPointType: DataPointType.GAUGE,
        dataPoints,
      };
    });
    const metrics = [...histograms, ...gauges.filter(({ dataPoints }) => dataPoints.length > 0)];
    const scopeMetrics = [{ scope: { name: 'asset-service' }, metrics }];
    return Promise.resolve({ resourceMetrics: { resource: this.#resource, scopeMetrics }, errors: [] });
  }
}

function now(): HrTime {
  const ms = Date.now();
  return [Math.floor(ms / 1_000), (ms % 1_000) * 1e6];
}
