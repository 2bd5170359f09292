import { AssetClientError, invalidOption, messageOf } from './errors.ts';

/**
 * Builds a request from the caller's arguments.
 *
 * @throws AssetClientError OPTION_INVALID if they cannot be encoded
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
 * @throws AssetClientError OPTION_INVALID if it is not a number of at least 0
 */
export function assertDuration(name: string, value: number | undefined): number | undefined {
  if (value === undefined || (typeof value === 'number' && value >= 0)) return value;
  throw invalidOption(`${name} must be a number of milliseconds, 0 or more, not ${String(value)}`);
}

/**
 * Checks a count or a number of bytes.
 *
 * @throws AssetClientError OPTION_INVALID if it is not an integer of at least `least`
 */
export function assertWhole(name: string, value: number | undefined, least = 0): number | undefined {
  if (value === undefined || (Number.isSafeInteger(value) && value >= least)) return value;
  throw invalidOption(`${name} must be a whole number, ${least} or more, not ${String(value)}`);
}

/**
 * Checks a list of ids. A string would otherwise count as the list of its characters.
 *
 * @throws AssetClientError OPTION_INVALID if it is not an array of strings
 */
export function assertIds(name: string, value: readonly string[]): readonly string[] {
  if (Array.isArray(value) && value.every((id) => typeof id === 'string')) return value;
  throw invalidOption(`${name} must be an array of texts`);
}

/**
 * Checks a string. A lone surrogate would arrive as another character.
 *
 * @throws AssetClientError OPTION_INVALID if it is not a well-formed string
 */
export function assertText(name: string, value: string | undefined): string {
  if (value === undefined) return '';
  if (typeof value === 'string' && value.isWellFormed()) return value;
  throw invalidOption(
    `${name} must be a text in Unicode, not ${typeof value === 'string' ? 'half a character' : typeof value}`,
  );
}

/** Maximum nesting of lists and objects in one attribute, as in the service. */
const MAX_DEPTH = 100;

/**
 * Checks the value of an attribute. Values outside JSON would arrive changed, for example a Date as an empty
 * object.
 *
 * @throws AssetClientError OPTION_INVALID if JSON cannot represent the value
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
