import pino, { type Logger } from 'pino';
import { auditTo, type AuditLog, toFields } from './audit-log.ts';
import { closeSync, openSync } from 'node:fs';
import { once } from 'node:events';
import { dirname } from 'node:path';
import { makeDir } from '../system/private-files.ts';

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

/**
 * Writes events as JSON lines, with the time in ISO 8601, to standard output or to the end of a file. Lines on
 * standard output have `"msg":"audit"`, which distinguishes them from those of the log.
 *
 * A file is reopened on SIGHUP, so that a tool such as logrotate can move it.
 *
 * @param destination - `stdout`, or the path of a file; its directory is created
 * @param log - where failures are reported
 * @param format - formats a JSON line
 * @throws Error if the file cannot be opened
 */
async function openJsonLines(
  destination: string,
  log: Logger,
  format: (line: string) => string = (line) => `${line}\n`,
): Promise<AuditLog> {
  const isFile = destination !== 'stdout';
  if (isFile) assertWritable(destination);
  const sink = pino.destination({ dest: isFile ? destination : 1, append: true, sync: false });
  if (isFile) await once(sink, 'ready');
  let readerIsGone = false;
  sink.on('error', (error: NodeJS.ErrnoException) => {
    readerIsGone ||= error.code === 'EPIPE';
    log.error({ err: error }, 'the audit log could not be written');
  });
  const reopen = () => sink.reopen();
  if (isFile) process.on('SIGHUP', reopen);
  return {
    record(event) {
      const line = { time: new Date().toISOString(), msg: 'audit', ...toFields(event) };
      sink.write(format(JSON.stringify(line)));
    },
    async close() {
      process.off('SIGHUP', reopen);
      // Pino has abandoned such a writer, which then never closes.
      if (readerIsGone) return;
      // Errors were already reported above.
      const closed = once(sink, 'close').catch(() => undefined);
      sink.end();
      await closed;
    },
  };
}

/** The writer itself would report the error only later. */
function assertWritable(path: string): void {
  try {
    makeDir(dirname(path));
    closeSync(openSync(path, 'a'));
  } catch (error) {
    const { code = 'error' } = error as NodeJS.ErrnoException;
    throw new Error(`ASSET_AUDIT_LOG: ${path} cannot be written: ${code}`, { cause: error });
  }
}
