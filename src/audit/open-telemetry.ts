import { SeverityNumber } from '@opentelemetry/api';
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-http';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';
import type { Logger } from 'pino';
import { processResource, reportExportFailures } from '../telemetry/open-telemetry.ts';
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
  reportExportFailures(log);
  const processor = new BatchLogRecordProcessor({ exporter: new OTLPLogExporter() });
  const provider = new LoggerProvider({ processors: [processor], resource: processResource() });
  const logger = provider.getLogger('asset-service.audit');
  return {
    record(event) {
      const severityNumber = event.allowed ? SeverityNumber.INFO : SeverityNumber.WARN;
      logger.emit({ eventName: 'asset.audit', body: 'audit', severityNumber, attributes: toFields(event) });
    },
    close: () => provider.shutdown(),
  };
}
