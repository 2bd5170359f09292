import { ValueType, type Attributes, type HrTime } from '@opentelemetry/api';
import {
  AggregationTemporality,
  DataPointType,
  type CollectionResult,
  type GaugeMetricData,
  type HistogramMetricData,
  type MetricData,
  type MetricProducer,
  type SumMetricData,
} from '@opentelemetry/sdk-metrics';
import type { Resource } from '@opentelemetry/resources';

/** Name, unit and meaning of a metric. */
export interface MetricText {
  readonly unit: string;
  readonly description: string;
}

/** A histogram or a counter of what every call records. */
export interface CallMetric {
  /** @param values - of the labels, in their order; few in number, never ids or owners */
  record(value: number, ...values: readonly string[]): void;
}

/** Maximum number of label combinations of one metric: a bound for mistakes, far above what there is. */
const MAX_SERIES = 2_000;

/** What is beyond the maximum, by the name of OpenTelemetry. */
const OVERFLOW: Attributes = { 'otel.metric.overflow': true };

type RecordedData =
  | Pick<SumMetricData, 'dataPointType' | 'isMonotonic' | 'dataPoints'>
  | Pick<HistogramMetricData, 'dataPointType' | 'dataPoints'>;

/** What was recorded with one combination of labels. A counter has no buckets. */
interface Series {
  readonly attributes: Attributes;
  readonly counts: Float64Array;
  sum: number;
  count: number;
}

/** The series of one metric with at most two labels. Finds them without making or hashing an object. */
class AllSeries implements CallMetric {
  readonly all: Series[] = [];
  readonly #labels: readonly string[];
  readonly #boundaries: readonly number[];
  readonly #byValues = new Map<string, Map<string, Series>>();

  /** @param boundaries - upper bounds of the buckets, ascending; none for a counter */
  constructor(labels: readonly string[], boundaries: readonly number[]) {
    [this.#labels, this.#boundaries] = [labels, boundaries];
  }

  record(value: number, first = '', second = ''): void {
    const series = this.#byValues.get(first)?.get(second) ?? this.#add(first, second);
    const boundaries = this.#boundaries;
    let at = 0;
    // Most calls are fast, so the first buckets are the likely ones.
    while (at < boundaries.length && value > boundaries[at]!) at += 1;
    series.counts[at]! += 1;
    series.sum += value;
    series.count += 1;
  }

  /** The series as points of a metric. */
  data(startTime: HrTime, endTime: HrTime): RecordedData {
    const times = { startTime, endTime };
    if (this.#boundaries.length === 0) {
      const dataPoints = this.all.map(({ attributes, sum }) => ({ ...times, attributes, value: sum }));
      return { dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints };
    }
    const dataPoints = this.all.map(({ attributes, counts, sum, count }) => {
      const buckets = { boundaries: [...this.#boundaries], counts: [...counts] };
      return { ...times, attributes, value: { buckets, sum, count } };
    });
    return { dataPointType: DataPointType.HISTOGRAM, dataPoints };
  }

  #add(...values: [string, string]): Series {
    const isFull = this.all.length >= MAX_SERIES;
    const [first, second] = isFull ? ['\0', ''] : values;
    const ofFirst = this.#byValues.get(first) ?? new Map<string, Series>();
    this.#byValues.set(first, ofFirst);
    const known = ofFirst.get(second);
    if (known) return known;
    const named = Object.fromEntries(this.#labels.map((label, at) => [label, values[at] ?? '']));
    const counts = new Float64Array(this.#boundaries.length + 1);
    const added = { attributes: isFull ? OVERFLOW : named, counts, sum: 0, count: 0 };
    ofFirst.set(second, added);
    this.all.push(added);
    return added;
  }
}

/** A value of a gauge, with its labels. */
export type GaugeValue = readonly [value: number, labels?: Readonly<Record<string, string>>];

/**
 * Metrics that instruments of OpenTelemetry do not fit.
 *
 * Histograms and counters of what every call records: an instrument of OpenTelemetry sorts and hashes the labels of each
 * value, which costs several microseconds of a call; one of these costs a tenth of one.
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
  readonly #recorded: { readonly name: string; readonly text: MetricText; readonly series: AllSeries }[] = [];

  /** @param boundaries - upper bounds of the buckets, ascending */
  constructor(resource: Resource, boundaries: readonly number[]) {
    this.#resource = resource;
    this.#boundaries = boundaries;
  }

  /** Adds a gauge; `read` gives its present values. */
  gauge(name: string, text: MetricText, read: () => readonly GaugeValue[]): void {
    this.#gauges.push({ name, text, read });
  }

  /** Adds a histogram with at most two labels. */
  histogram(name: string, text: MetricText, labels: readonly string[]): CallMetric {
    return this.#add(name, text, new AllSeries(labels, this.#boundaries));
  }

  /** Adds a counter with at most two labels. */
  counter(name: string, text: MetricText, labels: readonly string[]): CallMetric {
    return this.#add(name, text, new AllSeries(labels, []));
  }

  #add(name: string, text: MetricText, series: AllSeries): CallMetric {
    this.#recorded.push({ name, text, series });
    return series;
  }

  collect(): Promise<CollectionResult> {
    const endTime = now();
    const recorded = this.#recorded
      .filter(({ series }) => series.all.length > 0)
      .map(({ name, text, series }) => ({
        descriptor: { name, ...text, valueType: ValueType.DOUBLE },
        aggregationTemporality: AggregationTemporality.CUMULATIVE,
        ...series.data(this.#startTime, endTime),
      }));
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
    const metrics: MetricData[] = [...recorded, ...gauges.filter(({ dataPoints }) => dataPoints.length > 0)];
    const scopeMetrics = [{ scope: { name: 'asset-service' }, metrics }];
    return Promise.resolve({ resourceMetrics: { resource: this.#resource, scopeMetrics }, errors: [] });
  }
}

function now(): HrTime {
  const ms = Date.now();
  return [Math.floor(ms / 1_000), (ms % 1_000) * 1e6];
}
