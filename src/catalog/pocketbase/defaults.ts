import type { JsonValue } from '../file-catalog.ts';
import type { CollectionField } from './collection.ts';

/** Field types that get no value from requests. */
const NEVER = ['autodate', 'file', 'password'];

/** Why a field cannot have this default, for the operator; undefined if it can. */
export function whyNoDefault(field: CollectionField, value: JsonValue): string | undefined {
  const { name, type } = field;
  if (field.system || NEVER.includes(type)) {
    return `"${name}" is of type ${type}${field.system ? ' and belongs to PocketBase' : ''}: it takes no value.`;
  }
  const given = JSON.stringify(value);
  if (field.required && isEmpty(value)) return `"${name}" is required, and ${given} counts as nothing.`;
  return fits(field, value) ? undefined : `"${name}" is of type ${type}, and its rules refuse ${given}.`;
}

function fits(field: CollectionField, value: JsonValue): boolean {
  const items = Array.isArray(value) ? (value as readonly JsonValue[]) : [value];
  const isShort = items.length <= Math.max(1, field.maxSelect ?? 1);
  switch (field.type) {
    case 'json':
      return true;
    case 'bool':
      return typeof value === 'boolean';
    case 'number':
      return typeof value === 'number' && fitsNumber(field, value);
    case 'geoPoint': {
      const { lon, lat } = (value ?? {}) as { lon?: unknown; lat?: unknown };
      return typeof lon === 'number' && typeof lat === 'number';
    }
    case 'select': {
      const { values } = field;
      return isShort && Array.isArray(values) && items.every((item) => values.includes(item));
    }
    case 'relation':
      return isShort && items.every((item) => typeof item === 'string');
    default:
      return typeof value === 'string' && fitsText(field, value);
  }
}

function fitsNumber({ min, max, onlyInt }: CollectionField, value: number): boolean {
  return (
    !(typeof min === 'number' && value < min) &&
    !(typeof max === 'number' && value > max) &&
    !(onlyInt === true && !Number.isInteger(value))
  );
}

/** A time in PocketBase's or JSON's format. */
const TIME = /^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{3})?Z$/;

function fitsText({ type, min, max, pattern }: CollectionField, value: string): boolean {
  switch (type) {
    case 'date':
      return TIME.test(value) && !Number.isNaN(Date.parse(value.replace(' ', 'T')));
    case 'email':
      return /^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(value);
    case 'url':
      return URL.canParse(value);
    default: {
      // PocketBase counts code points.
      const length = [...value].length;
      return (
        !(typeof min === 'number' && length < min) &&
        !(typeof max === 'number' && max > 0 && length > max) &&
        (typeof pattern !== 'string' || matchesPattern(pattern, value))
      );
    }
  }
}

/** True if a text matches a PocketBase (Go) pattern, and if JavaScript cannot compile the pattern. */
export function matchesPattern(pattern: string, text: string): boolean {
  try {
    return new RegExp(pattern).test(text);
  } catch {
    return true;
  }
}

/** True for a value that PocketBase treats as missing in a required field. */
export function isEmpty(value: JsonValue | undefined): boolean {
  if (value === undefined || value === null) return true;
  if (typeof value === 'object') return Object.keys(value).length === 0;
  return value === '' || value === 0 || value === false;
}
