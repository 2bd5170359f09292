import { AssetClientError, invalidOption, messageOf } from './errors.ts';

/**
 * Makes a request of what the caller gave.
 *
 * @throws AssetClientError OPTION_INVALID where that fails
 */
export function fromArguments<T>(build: () => T): T {
  try {
    return build();
  } catch (error) {
    if (error instanceof AssetClientError) throw error;
    throw invalidOption(`an argument is not what it has to be: ${messageOf(error)}`, error);
  }
}

/**
 * Checks a time in milliseconds.
 *
 * @throws AssetClientError OPTION_INVALID for what is no number from 0 on
 */
export function assertDuration(name: string, value: number | undefined): number | undefined {
  if (value === undefined || (typeof value === 'number' && value >= 0)) return value;
  throw invalidOption(`${name} must be a number of milliseconds, 0 or more, not ${String(value)}`);
}

/**
 * Checks a number of bytes or of things.
 *
 * @throws AssetClientError OPTION_INVALID for what is no whole number from `least` on
 */
export function assertWhole(name: string, value: number | undefined, least = 0): number | undefined {
  if (value === undefined || (Number.isSafeInteger(value) && value >= least)) return value;
  throw invalidOption(`${name} must be a whole number, ${least} or more, not ${String(value)}`);
}

/**
 * Checks a list of ids. A text would be taken for the list of its characters.
 *
 * @throws AssetClientError OPTION_INVALID for what is no array of texts
 */
export function assertIds(name: string, value: readonly string[]): readonly string[] {
  if (Array.isArray(value) && value.every((id) => typeof id === 'string')) return value;
  throw invalidOption(`${name} must be an array of texts`);
}

/**
 * Checks a text. Half of a surrogate pair would arrive as another character.
 *
 * @throws AssetClientError OPTION_INVALID for what is no text
 */
export function assertText(name: string, value: string | undefined): string {
  if (value === undefined) return '';
  if (typeof value === 'string' && value.isWellFormed()) return value;
  throw invalidOption(
    `${name} must be a text in Unicode, not ${typeof value === 'string' ? 'half a character' : typeof value}`,
  );
}

/** Levels of lists and objects in one attribute; the service takes no more. */
const MAX_DEPTH = 100;

/**
 * Checks the value of an attribute: what is no JSON would arrive as something else, a Date as an empty object.
 *
 * @throws AssetClientError OPTION_INVALID for what JSON cannot say
 */
export function assertJson(name: string, value: unknown, depth = 0): void {
  if (value === null || typeof value === 'boolean') return;
  if (typeof value === 'string') return void assertText(name, value);
  if (typeof value === 'number' && Number.isFinite(value)) return;
  if (typeof value === 'object' && depth < MAX_DEPTH) {
    const prototype: unknown = Object.getPrototypeOf(value);
    const isPlain = Array.isArray(value) || prototype === null || Object.getPrototypeOf(prototype) === null;
    if (isPlain)
      return Object.entries(value).forEach(([key, item]) => assertJson(`${name}.${key}`, item, depth + 1));
  }
  throw invalidOption(
    `${name} must be a value that JSON has: a text, a finite number, true, false, null, a list or a plain object`,
  );
}
