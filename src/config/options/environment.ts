import { readFileSync } from 'node:fs';
import type { Option } from './types.ts';
import { shownValue } from '../../errors/redaction.ts';
import { OPTIONS, type Settings } from '../options.ts';

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
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '') || undefined;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'error';
    mistakes.push(`${name}_FILE: cannot be read: ${code} (it is ${JSON.stringify(shownValue(path))})`);
    return undefined;
  }
}
