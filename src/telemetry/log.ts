import { stripVTControlCharacters } from 'node:util';
import {
  levels,
  pino,
  stdSerializers,
  stdTimeFunctions,
  type DestinationStream,
  type Level,
  type Logger,
} from 'pino';
import { isAssetError } from '../errors/asset-error.ts';
import { withoutSecrets } from '../errors/redaction.ts';
import { causes, causeText } from '../errors/setup-fault.ts';
import { traceFields } from './trace-context.ts';

/** Header fields that are removed from log lines. */
const REDACTED = ['authorization', '["asset-user-token"]', 'cookie'].flatMap((name) => {
  const at = (path: string) => (name.startsWith('[') ? `${path}${name}` : `${path}.${name}`);
  return [name, at('*'), at('*.*')];
});

/** Format of lines: `json`, `text` for people, or `auto`: text on a terminal, otherwise JSON. */
export type LogFormat = 'auto' | 'json' | 'text';

/**
 * The log: lines of this level and above, with their time in ISO 8601 and without passwords in URLs.
 *
 * @param destination - where lines go; default standard output
 */
export function openLog(
  level: Level | 'silent',
  destination: DestinationStream = pino.destination(1),
  format: LogFormat = 'json',
): Logger {
  const options = {
    level,
    redact: REDACTED,
    timestamp: stdTimeFunctions.isoTime,
    serializers: { err: errorFields },
    mixin: traceFields,
  };
  const show = isText(format, process.stdout) ? readable : (line: string) => line;
  return pino(options, { write: (line: string) => void destination.write(show(withoutSecrets(line))) });
}

/** True if lines to `stream` are text. */
export function isText(format: LogFormat, stream: { readonly isTTY?: boolean }): boolean {
  return format === 'text' || (format === 'auto' && stream.isTTY === true);
}

/**
 * A JSON line as text: `2026-11-29T08:48:34.123Z INFO  listening url=http://127.0.0.1:8080`, with a stack below it.
 */
export function readable(line: string): string {
  const { time, level, msg, pid: _pid, hostname: _host, err, ...fields } = JSON.parse(line) as Line;
  const stack = err?.stack;
  const all: Readonly<Record<string, unknown>> =
    err === undefined || stack !== undefined ? fields : { ...fields, err };
  const texts = Object.entries(all).map(([name, value]) => `${name}=${shown(value)}`);
  // Lines of the audit log have no level.
  const label = (levels.labels[level ?? 0] ?? 'audit').toUpperCase().padEnd(5);
  const below = stack === undefined ? '' : `\n    ${printable(stack).replaceAll('\n', '\n    ')}`;
  return `${time} ${label} ${printable([msg, ...texts].join(' '))}${below}\n`;
}

/** The used fields of a line. */
interface Line {
  readonly time: string;
  readonly level?: number;
  readonly msg: string;
  readonly pid?: number;
  readonly hostname?: string;
  readonly err?: { readonly stack?: string };
}

function shown(value: unknown): string {
  return typeof value === 'string' && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}

/** Text without control characters. */
function printable(text: string): string {
  return stripVTControlCharacters(text).replaceAll(
    /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g,
    '?',
  );
}

/**
 * An outage is logged with its cause: the stack would only show where it was noticed, again for every call. Other
 * errors keep their stack.
 */
function errorFields(error: unknown): unknown {
  const outage = causes(error).find((one) => isAssetError(one) && one.reason.endsWith('_UNAVAILABLE'));
  if (outage === undefined) return stdSerializers.err(error as Error);
  return { reason: (outage as unknown as { reason: string }).reason, cause: causeText(error) };
}
