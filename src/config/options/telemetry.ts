import { address, option, type Option } from './option.ts';

/** Settings of metrics. What goes to OpenTelemetry is set by the variables of its specification. */
export const TELEMETRY_OPTIONS = {
  ASSET_METRICS_LISTEN: option(
    address().optional(),
    '',
    'Address at which Prometheus scrapes the metrics: GET /metrics, without identity, so keep it on a private network. Port 0 takes any free one. By default there is none. With OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_METRICS_ENDPOINT metrics are sent there too.',
  ),
} as const satisfies Record<string, Option>;
