import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { shownValue } from '../errors/redaction.ts';
import { withoutMark } from '../system/byte-order-mark.ts';
import { SettingsError } from './settings.ts';

/** Content of a configuration file. */
export interface ConfigFile {
  readonly values: Readonly<Record<string, string>>;
  /** Mistakes by line number, without the text, which may be a secret. */
  readonly faults: readonly string[];
}

const ASSIGNMENT = /^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=[ \t]*(.*)$/s;

/**
 * Reads the configuration file; without a path it is empty.
 *
 * @throws SettingsError if it cannot be read
 */
export function readConfigFile(path: string | undefined): ConfigFile {
  if (!path) return { values: {}, faults: [] };
  try {
    return parseConfigFile(readFileSync(path, 'utf8'));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'error';
    throw new SettingsError([
      `ASSET_CONFIG_FILE: cannot be read: ${code} (it is ${JSON.stringify(shownValue(path))})`,
    ]);
  }
}

/**
 * Parses lines NAME=value like Node.js parses an `.env` file: `#` starts a comment, and a quoted value may span
 * lines. Node.js skips a line that it does not understand, cuts an unquoted value at `#`, and uses the last of two
 * equal names: these are faults here.
 */
export function parseConfigFile(content: string): ConfigFile {
  // Windows editors write a byte order mark, which Node.js would read as part of the first name.
  const text = withoutMark(content).replaceAll('\r\n', '\n');
  const lines = text.split('\n');
  const faults = faultsOf(lines);
  return { values: parseEnv(lines.join('\n')) as Record<string, string>, faults };
}

/** Empties lines that are not NAME=value: some releases of Node.js join them with the next line. */
function faultsOf(lines: string[]): string[] {
  const faults: string[] = [];
  const seen = new Map<string, number>();
  for (let at = 0; at < lines.length; at++) {
    const number = at + 1;
    const line = lines[at]!.trim();
    if (line === '' || line.startsWith('#')) continue;
    const [, name, value] = ASSIGNMENT.exec(line) ?? [];
    if (name === undefined || value === undefined) {
      faults.push(`line ${number} is no NAME=value`);
      lines[at] = '';
      continue;
    }
    const earlier = seen.get(name);
    if (earlier !== undefined) faults.push(`line ${number} sets ${name} again, after line ${earlier}`);
    seen.set(name, number);
    const quote = /^["'`]/.exec(value)?.[0];
    const end = quote === undefined ? undefined : endOfQuote(lines, at, quote);
    if (end === undefined) {
      if (quote !== undefined) faults.push(`line ${number}: the quotation mark is never closed`);
      if (/^#|[^\s]#/.test(value.split(/\s#/)[0]!)) {
        faults.push(`line ${number}: "#" begins a comment: put the value of ${name} into quotation marks`);
      }
      continue;
    }
    at = end.line;
    if (!/^\s*(#.*)?$/.test(end.rest)) faults.push(`line ${at + 1}: something follows the quotation mark`);
  }
  return faults;
}

/** Where the quoted value that starts on line `from` ends, and the text after it. */
function endOfQuote(lines: readonly string[], from: number, quote: string) {
  const start = lines[from]!.indexOf(quote, lines[from]!.indexOf('=')) + 1;
  for (let line = from; line < lines.length; line++) {
    const text = lines[line]!;
    const end = text.indexOf(quote, line === from ? start : 0);
    if (end !== -1) return { line, rest: text.slice(end + 1) };
  }
  return undefined;
}
