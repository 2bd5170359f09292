import type { Logger } from 'pino';
import { auditTo, type AuditLog } from './audit-log.ts';
import { openJsonLines } from './json-lines.ts';

/** Where decisions are written down. */
export interface AuditConfig {
  /** `stdout`, the path of a file, or `off`. */
  readonly destination: string;
  /** True to send them over OTLP as well. */
  readonly openTelemetry: boolean;
}

/**
 * Opens the audit log.
 *
 * @param log - where trouble with it is reported
 * @param readable - makes lines to standard output such as people read; JSON where left out
 * @throws Error if a file is named that cannot be opened
 */
export async function openAudit(
  { destination, openTelemetry }: AuditConfig,
  log: Logger,
  readable?: (line: string) => string,
): Promise<AuditLog> {
  const format = destination === 'stdout' ? readable : undefined;
  const logs = destination === 'off' ? [] : [await openJsonLines(destination, log, format)];
  // Its SDK takes a tenth of a second to load: only who wants it pays for it.
  if (openTelemetry) logs.push((await import('./open-telemetry.ts')).openOpenTelemetry(log));
  return auditTo(logs);
}
