/** What is exported over OTLP. */
export interface OpenTelemetryConfig {
  readonly logs: boolean;
  readonly metrics: boolean;
  readonly traces: boolean;
  /** Variables whose value the service does not support, for the log. */
  readonly doubts: readonly string[];
}

/** Those of OTLP over HTTP. */
const PROTOCOLS = new Set(['http/protobuf', 'http/json']);

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * What the environment variables of the OpenTelemetry specification ask for: a signal is exported if it has an endpoint
 * or its exporter is `otlp`, unless its exporter is `none` or OTEL_SDK_DISABLED is true.
 */
export function openTelemetryConfig(environment: Environment): OpenTelemetryConfig {
  const isDisabled = environment['OTEL_SDK_DISABLED']?.toLowerCase() === 'true';
  const doubts: string[] = [];
  const isExported = (signal: string) => {
    const name = `OTEL_${signal}_EXPORTER`;
    const exporters = namesIn(environment[name]);
    const endpoints = [`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`, 'OTEL_EXPORTER_OTLP_ENDPOINT'];
    const hasEndpoint = endpoints.some((one) => Boolean(environment[one]));
    if (isDisabled) return false;
    for (const exporter of exporters) {
      if (exporter === 'otlp' || exporter === 'none') continue;
      const instead = exporter === 'prometheus' ? 'set ASSET_METRICS_LISTEN' : 'use otlp or none';
      doubts.push(`${name}: ${exporter} is not supported: ${instead}`);
    }
    const isOn = exporters.length === 0 ? hasEndpoint : exporters.includes('otlp');
    const protocol = [`OTEL_EXPORTER_OTLP_${signal}_PROTOCOL`, 'OTEL_EXPORTER_OTLP_PROTOCOL'].find((one) =>
      Boolean(environment[one]),
    );
    if (isOn && protocol !== undefined && !PROTOCOLS.has(environment[protocol]!)) {
      doubts.push(
        `${protocol}: ${environment[protocol]} is not supported: name the HTTP port of the collector (4318)`,
      );
    }
    const wrong = endpoints.find(
      (one) => environment[one] && !/^https?:$/.test(protocolOf(environment[one])),
    );
    if (isOn && wrong !== undefined) doubts.push(`${wrong}: must be a URL such as http://host:4318`);
    return isOn;
  };
  const exported = {
    logs: isExported('LOGS'),
    metrics: isExported('METRICS'),
    traces: isExported('TRACES'),
  };
  return { ...exported, doubts: [...new Set(doubts)] };
}

/** The protocol of a URL; empty if the text is none. */
function protocolOf(text: string): string {
  return URL.parse(text)?.protocol ?? '';
}

function namesIn(list: string | undefined): readonly string[] {
  return (list ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}
