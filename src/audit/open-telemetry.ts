import { diag, DiagLogLevel, SeverityNumber } from '@opentelemetry/api';
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-http';
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';
import { env } from 'node:process';
import type { Logger } from 'pino';
import { toFields, type AuditLog } from './audit-log.ts';

/**
 * Sends events as OpenTelemetry log records, in batches, over OTLP with HTTP. Endpoint and headers come from the
 * environment variables of the OpenTelemetry specification (`OTEL_EXPORTER_OTLP_ENDPOINT`,
 * `OTEL_EXPORTER_OTLP_LOGS_ENDPOINT`, `OTEL_EXPORTER_OTLP_HEADERS` and others). A record has the event name
 * `asset.audit` and the fields of a line as attributes.
 *
 * @param log - where failures of the collector are reported
 */
export function openOpenTelemetry(log: Logger): AuditLog {
  const report = (message: string) => log.error({ telemetry: message }, 'the audit log could not be sent');
  const ignore = () => undefined;
  diag.setLogger(
    { error: report, warn: report, info: ignore, debug: ignore, verbose: ignore },
    DiagLogLevel.WARN,
  );
  const processor = new BatchLogRecordProcessor({ exporter: new OTLPLogExporter() });
  const named = resourceFromAttributes({ 'service.name': env['OTEL_SERVICE_NAME'] || 'asset-service' });
  const provider = new LoggerProvider({ processors: [processor], resource: defaultResource().merge(named) });
  const logger = provider.getLogger('asset-service.audit');
  return {
    record(event) {
      const severityNumber = event.allowed ? SeverityNumber.INFO : SeverityNumber.WARN;
      logger.emit({ eventName: 'asset.audit', body: 'audit', severityNumber, attributes: toFields(event) });
    },
    close: () => provider.shutdown(),
  };
}
