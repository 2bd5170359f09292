import { readFileSync } from 'node:fs';
import type { Option } from './options/option.ts';
import { shownValue } from '../errors/redaction.ts';
import { inNextNames } from './options/next.ts';
import { OPTIONS, type Settings } from './options/options.ts';
import { closestMatch } from 'leven';
import { withoutMark } from '../system/byte-order-mark.ts';

/** All mistakes in the settings, each with the name of its variable. */
export class SettingsError extends Error {
  /** One line per mistake. */
  readonly mistakes: readonly string[];

  constructor(mistakes: readonly string[]) {
    super(
      `the configuration has ${mistakes.length === 1 ? 'a mistake' : 'mistakes'}:\n  ${mistakes.join('\n  ')}`,
    );
    this.name = 'SettingsError';
    this.mistakes = mistakes;
  }
}

/**
 * Parses all settings from the environment. An empty variable counts as unset.
 *
 * @throws SettingsError with all mistakes
 */
export function readSettings(environment: Readonly<Record<string, string | undefined>>): Settings {
  const mistakes: string[] = [];
  const settings: Record<string, unknown> = {};
  for (const [name, { schema, default: defaultText, secret }] of Object.entries<Option>(OPTIONS)) {
    const given = secret ? secretText(environment, name, mistakes) : environment[name] || undefined;
    const result = schema.safeParse(
      given ?? (defaultText === '' && schema.safeParse(undefined).success ? undefined : defaultText),
    );
    if (result.success) settings[name] = result.data;
    else {
      const said = given !== undefined && !secret ? ` (it is ${JSON.stringify(shownValue(given))})` : '';
      mistakes.push(`${name}: ${result.error.issues.map(({ message }) => message).join(', ')}${said}`);
    }
  }
  if (mistakes.length > 0) throw new SettingsError(mistakes);
  return settings as Settings;
}

/** A secret may be in a file instead, as orchestrators provide them; its final line break is removed. */
function secretText(
  environment: Readonly<Record<string, string | undefined>>,
  name: string,
  mistakes: string[],
): string | undefined {
  const given = environment[name] || undefined;
  const path = environment[`${name}_FILE`] || undefined;
  if (path === undefined) return given;
  if (given !== undefined) mistakes.push(`${name}_FILE: cannot be set together with ${name}`);
  try {
    return withoutMark(readFileSync(path, 'utf8')).replace(/\r?\n$/, '') || undefined;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'error';
    mistakes.push(`${name}_FILE: cannot be read: ${code} (it is ${JSON.stringify(shownValue(path))})`);
    return undefined;
  }
}

/** Collects the mistakes in the settings, so that all are reported together. */
export class Mistakes {
  readonly #settings: Settings;
  readonly #found: string[];
  /** A text with the names by which these settings were given. */
  readonly #named: (text: string) => string;

  constructor(settings: Settings, found: string[] = [], named = (text: string) => text) {
    [this.#settings, this.#found, this.#named] = [settings, found, named];
  }

  /** Collects mistakes in the settings of a move's target among these, by their names with NEXT_. */
  ofNext(next: Settings): Mistakes {
    return new Mistakes(next, this.#found, inNextNames);
  }

  /** Adds a mistake in a setting. */
  add(name: keyof Settings, text: string): void {
    this.#found.push(this.#named(`${name}: ${text}`));
  }

  /** The value of a setting that another one requires. */
  require(name: keyof Settings, because: string): string {
    const value = this.#settings[name];
    if (typeof value === 'string') return value;
    const shown = this.#named(name);
    if (!this.#found.some((line) => line.startsWith(`${shown}: `)))
      this.add(name, `is required with ${because}`);
    return '';
  }

  /**
   * Content of the file that a setting names. Empty, and a mistake, if it cannot be read; a missing path was
   * already reported.
   */
  readFile(name: keyof Settings, path: string): Buffer {
    if (path === '') return Buffer.alloc(0);
    try {
      return readFileSync(path);
    } catch (error) {
      this.add(
        name,
        `cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'error'} (it is ${JSON.stringify(shownValue(path))})`,
      );
      return Buffer.alloc(0);
    }
  }

  /** Reads a file of text that a setting names; undefined if it cannot be read, which is then reported. */
  readText(name: keyof Settings, path: string): string | undefined {
    const before = this.#found.length;
    const text = withoutMark(this.readFile(name, path).toString('utf8'));
    return this.#found.length === before ? text : undefined;
  }

  /** @throws SettingsError if there are mistakes */
  report(): void {
    if (this.#found.length > 0) throw new SettingsError(this.#found);
  }
}

/** Variables of the command line as a client and of its tests: no settings, but no mistakes either. */
const NOT_OURS = /^ASSET_(URL|TOKEN|TOKEN_FILE|USER_TOKEN|TEST_.*)$/;

/** Variables that Kubernetes sets in every container for a Service whose name starts with "asset". */
const SERVICE_LINK = /_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?$/;

/** Variables that look like settings but are not. */
export function unknownNames(environment: Readonly<Record<string, string | undefined>>): string[] {
  return Object.entries(environment)
    .filter(([name, value = '']) => looksLikeOurs(name) && !isSetting(name) && !isServiceLink(name, value))
    .map(([name]) => name);
}

/** The message about an unknown name, with a suggestion. */
export function unknownNameText(name: string): string {
  const near = nearest(name);
  return `${name}: is no setting of the service${near === undefined ? '' : `: did you mean ${near}?`}`;
}

function looksLikeOurs(name: string): boolean {
  return /^asset_/i.test(name) && !NOT_OURS.test(name);
}

function isSetting(name: string): boolean {
  const options: Readonly<Record<string, Option>> = OPTIONS;
  return name in options || (name.endsWith('_FILE') && options[name.slice(0, -5)]?.secret === true);
}

function isServiceLink(name: string, value: string): boolean {
  return SERVICE_LINK.test(name) || (name.endsWith('_PORT') && /^(tcp|udp|sctp):\/\//.test(value));
}

/** The most similar setting, if only a few letters differ. */
function nearest(name: string): string | undefined {
  const maxDistance = Math.max(2, Math.floor(name.length / 4));
  return closestMatch(name.toUpperCase(), Object.keys(OPTIONS), { maxDistance });
}
