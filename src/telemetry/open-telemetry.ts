import { diag, DiagLogLevel } from '@opentelemetry/api';
import { defaultResource, resourceFromAttributes, type Resource } from '@opentelemetry/resources';
import { hostname } from 'node:os';
import { env, pid } from 'node:process';
import type { Logger } from 'pino';

/** What describes this process in everything that is exported: service, host, and `OTEL_RESOURCE_ATTRIBUTES`. */
export function processResource(): Resource {
  const host = hostname();
  const own = { 'host.name': host, 'process.pid': pid, 'service.instance.id': `${host}:${pid}` };
  const named = { 'service.name': env['OTEL_SERVICE_NAME'] || 'asset-service' };
  return defaultResource().merge(
    resourceFromAttributes({ ...own, ...defaultResource().attributes, ...named }),
  );
}

/** Logs what OpenTelemetry could not export, such as a collector that does not answer. */
export function reportExportFailures(log: Logger): void {
  const report = (message: string) => log.error({ telemetry: message }, 'telemetry could not be sent');
  const ignore = () => undefined;
  diag.setLogger(
    { error: report, warn: report, info: ignore, debug: ignore, verbose: ignore },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
}
