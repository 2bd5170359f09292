import type { Logger } from 'pino';
import { auditTo, type AuditLog } from './audit-log.ts';
import { openJsonLines } from './json-lines.ts';

/** Destinations of the audit log. */
export interface AuditConfig {
  /** `stdout`, the path of a file, or `off`. */
  readonly destination: string;
  /** True to send them over OTLP as well. */
  readonly openTelemetry: boolean;
}

/**
 * Opens the audit log.
 *
 * @param log - where failures are reported
 * @param readable - formats lines on standard output for people; default JSON
 * @throws Error if the file cannot be opened
 */
export async function openAudit(
  { destination, openTelemetry }: AuditConfig,
  log: Logger,
  readable?: (line: string) => string,
): Promise<AuditLog> {
  const format = destination === 'stdout' ? readable : undefined;
  const logs = destination === 'off' ? [] : [await openJsonLines(destination, log, format)];
  // Loaded only if needed: the SDK takes a tenth of a second.
  if (openTelemetry) logs.push((await import('./open-telemetry.ts')).openOpenTelemetry(log));
  return auditTo(logs);
}
