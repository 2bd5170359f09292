import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import type { IMetricReader, MetricData, MetricProducer, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A port on which Prometheus scrapes the metrics. */
export interface ScrapePort {
  /** The reader to add to the provider. */
  readonly reader: IMetricReader;
  readonly port: number;
  close(): Promise<void>;
}

/** Content type of the text format. */
const TEXT = 'text/plain; version=0.0.4; charset=utf-8';

/** Time for the headers of a request, in milliseconds. */
const REQUEST_MS = 10_000;

const MAX_CONNECTIONS = 64;

/** Unit suffixes of Prometheus, by unit of OpenTelemetry. Units in braces only count things and have none. */
const SUFFIXES: Readonly<Record<string, string>> = { s: '_seconds', By: '_bytes', '1': '_ratio' };

/**
 * Listens for scrapes: `GET /metrics` and nothing else. The port serves no callers and asks for no identity.
 *
 * @param metricProducers - what is scraped besides the metrics of the provider
 * @throws the error of the system, such as EADDRINUSE
 */
export async function listenForScrapes(
  address: { readonly host: string; readonly port: number },
  metricProducers: MetricProducer[],
): Promise<ScrapePort> {
  const reader = new PrometheusExporter({ preventServerStart: true, metricProducers });
  const serializer = new PrometheusSerializer(undefined, false, undefined, false, true);
  const server = http.createServer(
    { headersTimeout: REQUEST_MS, requestTimeout: REQUEST_MS, keepAliveTimeout: REQUEST_MS },
    (request, response) => void answer(request, response),
  );
  server.maxConnections = MAX_CONNECTIONS;
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    request.resume();
    const [path] = (request.url ?? '').split('?');
    if (path !== '/metrics') return end(response, 404, 'only /metrics is here\n');
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return end(response, 405, 'use GET\n', { allow: 'GET, HEAD' });
    }
    try {
      const { resourceMetrics } = await reader.collect();
      end(response, 200, `${serializer.serialize(withUnits(resourceMetrics))}\n`, { 'content-type': TEXT });
    } catch {
      end(response, 503, 'the metrics cannot be read now\n');
    }
  };
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(address, resolve);
  });
  return {
    reader,
    port: (server.address() as AddressInfo).port,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Adds units to names, as the specification for Prometheus and the OpenTelemetry collector do. */
function withUnits(metrics: ResourceMetrics): ResourceMetrics {
  const named = (metric: MetricData): MetricData => {
    const { name, unit } = metric.descriptor;
    const suffix = SUFFIXES[unit] ?? '';
    const withUnit = name.replaceAll('.', '_').endsWith(suffix) ? name : `${name}${suffix}`;
    // The text format has no lines for units.
    return { ...metric, descriptor: { ...metric.descriptor, name: withUnit, unit: '' } };
  };
  const scopeMetrics = metrics.scopeMetrics.map((scope) => ({
    ...scope,
    metrics: scope.metrics.map(named),
  }));
  return { ...metrics, scopeMetrics };
}

function end(
  response: ServerResponse,
  status: number,
  body: string,
  headers: Readonly<Record<string, string>> = { 'content-type': 'text/plain' },
): void {
  response.writeHead(status, headers);
  response.end(body);
}
