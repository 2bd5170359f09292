import type { AssetError } from '../../errors/asset-error.ts';
import { attributeInvalid } from '../../errors/fields.ts';
import type { JsonValue } from '../file-catalog.ts';
import { isMultiple, type CollectionField } from './schema.ts';

/**
 * The value of an attribute as sent to PocketBase. PocketBase is lenient: it drops a date that it cannot parse, a
 * second choice, keys of a point. So this refuses what it would not keep. null clears any field.
 *
 * @throws AssetError ATTRIBUTE_INVALID
 */
export function toValue(field: CollectionField, value: JsonValue): JsonValue {
  const refuse = (accepted: string) => attributeInvalid(field.name, `it takes ${accepted}`);
  if (field.type === 'autodate') throw refuse('no value: the catalog sets it');
  if (value === null) return value;
  switch (field.type) {
    case 'json':
      // PocketBase would parse text that looks like JSON.
      return typeof value === 'string' ? JSON.stringify(value) : value;
    case 'number':
      if (typeof value !== 'number') throw refuse('a number');
      return value;
    case 'bool':
      if (typeof value !== 'boolean') throw refuse('true or false');
      return value;
    case 'select':
      return toChoices(value, isMultiple(field), refuse);
    case 'date': {
      const time = typeof value === 'string' ? readTime(value) : undefined;
      if (time === undefined) {
        throw refuse(
          'a time with its zone and at most milliseconds, such as 2026-01-02T03:04:05.678Z or 2026-01-02T03:04:05+01:00',
        );
      }
      return time;
    }
    case 'geoPoint':
      if (!isPoint(value)) throw refuse('an object of two numbers, lon and lat, and nothing else');
      return value;
    default:
      if (typeof value !== 'string') throw refuse('text');
      return value;
  }
}

/** Always a list, because PocketBase parses text with brackets. */
function toChoices(value: JsonValue, isList: boolean, refuse: (accepted: string) => Error): JsonValue {
  const accepted = isList ? 'a list of different texts' : 'one text';
  if (Array.isArray(value) !== isList) throw refuse(accepted);
  const items: readonly JsonValue[] = Array.isArray(value) ? value : [value];
  const isValid = items.every((item) => typeof item === 'string' && (item !== '' || !isList));
  if (!isValid || new Set(items).size < items.length) throw refuse(accepted);
  return items.filter((item) => item !== '');
}

function isPoint(value: JsonValue): boolean {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return false;
  const { lon, lat, ...more } = value as Readonly<Record<string, JsonValue>>;
  return typeof lon === 'number' && typeof lat === 'number' && Object.keys(more).length === 0;
}

/** RFC 3339, also with PocketBase's space instead of the T. */
const TIME = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,3})0*)?([Zz]|[+-](\d\d):(\d\d))$/;

/**
 * A time in UTC in PocketBase's format; an empty text stays empty. Undefined if the text is not an RFC 3339 time,
 * if the date does not exist, and if PocketBase cannot store it: fractions of a millisecond, or years outside 1 to
 * 9999.
 */
export function readTime(text: string): string | undefined {
  if (text === '') return text;
  const match = TIME.exec(text);
  if (!match) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number);
  const [fraction = '', , zoneHour = '0', zoneMinute = '0'] = match.slice(7);
  const local = new Date(0);
  local.setUTCFullYear(year!, month! - 1, day);
  local.setUTCHours(hour!, minute, second, Number(fraction.padEnd(3, '0')));
  // An overflowing part would have changed the next one.
  const isWhole = [
    [local.getUTCMonth() + 1, month],
    [local.getUTCDate(), day],
    [local.getUTCHours(), hour],
    [local.getUTCMinutes(), minute],
    [local.getUTCSeconds(), second],
  ].every(([is, given]) => is === given);
  if (!isWhole || Number(zoneHour) > 23 || Number(zoneMinute) > 59) return undefined;
  const ahead = (Number(zoneHour) * 60 + Number(zoneMinute)) * 60_000;
  const time = new Date(local.getTime() - (match[8]!.startsWith('-') ? -ahead : ahead));
  // PocketBase treats the first moment of year 1 as unset.
  const isKept = time.getTime() > FIRST_MOMENT && time.getUTCFullYear() <= 9_999;
  return isKept ? time.toISOString().replace('T', ' ') : undefined;
}

const FIRST_MOMENT = Date.parse('0001-01-01T00:00:00.000Z');

/** The error for an attribute that does not exist or that callers may not write. */
export function unknownAttribute(attribute: string): AssetError {
  return attributeInvalid(attribute, 'the catalog has no such attribute that can be written');
}

/**
 * True if PocketBase returned the value that was sent. It has its own time format, returns the type's empty value
 * for a cleared one, and sorts object keys.
 */
export function isSame(field: CollectionField | undefined, sent: unknown, answered: unknown): boolean {
  if (sent === null) return isEmpty(answered) || answered === 0 || answered === false || isOrigin(answered);
  switch (field?.type) {
    case 'relation':
    case 'select':
      return canonicalJson(listOf(sent)) === canonicalJson(listOf(answered));
    case 'date':
      return timeOf(sent) === timeOf(answered);
    case 'json':
      return (
        canonicalJson(typeof sent === 'string' ? JSON.parse(sent) : sent) === canonicalJson(answered ?? null)
      );
    case 'geoPoint':
      return canonicalJson(sent) === canonicalJson(answered);
    default:
      return sent === answered;
  }
}

/** True for the unset value of most field types. */
export function isEmpty(value: unknown): boolean {
  return value === null || value === '' || (Array.isArray(value) && value.length === 0);
}

function isOrigin(value: unknown): boolean {
  return canonicalJson(value) === '{"lat":0,"lon":0}';
}

function timeOf(value: unknown): number | undefined {
  return typeof value === 'string' && value !== '' ? Date.parse(value.replace(' ', 'T')) : undefined;
}

/** The items of a field with one or several. */
export function listOf(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value as string[];
  return typeof value === 'string' && value !== '' ? [value] : [];
}

/** JSON with sorted object keys. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) =>
    item !== null && typeof item === 'object' && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  );
}
