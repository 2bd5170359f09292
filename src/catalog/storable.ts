import { AssetError } from '../errors.ts';
import type { FileDescription, FileFilter, JsonValue } from './file-catalog.ts';

/**
 * True unless the text holds a NUL character or half a surrogate pair. PostgreSQL cannot store the
 * first and every encoder mangles the second, so that no catalog takes either.
 */
export function isStorable(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0');
}

/**
 * Throws CATALOG_REFUSED (metadata: field), or ATTRIBUTE_INVALID (metadata: attribute), if a text in the
 * description is not {@link isStorable}, or a number would read back as another. Attributes may nest.
 */
export function assertStorable(
  description: Partial<FileDescription> & { readonly createdBy?: string; readonly createdFor?: string },
): void {
  const { name, contentType, owner, usage, createdBy, createdFor, relations, attributes } = description;
  const texts = {
    name,
    content_type: contentType,
    owner,
    usage,
    created_by: createdBy,
    created_for: createdFor,
  };
  for (const [field, text] of Object.entries(texts)) {
    if (text !== undefined && !isStorable(text)) throw refused(field);
  }
  for (const [relation, ids] of Object.entries(relations ?? {})) {
    if (![relation, ...ids].every(isStorable)) throw refused(`relations.${relation.toWellFormed()}`);
  }
  for (const [attribute, value] of Object.entries(attributes ?? {})) {
    const fault = isStorable(attribute) ? faultOf(value) : BROKEN_TEXT;
    if (fault === undefined) continue;
    const name = attribute.toWellFormed().replaceAll('\0', '\ufffd');
    throw new AssetError('ATTRIBUTE_INVALID', `The attribute "${name}" holds ${fault}.`, {
      metadata: { attribute: name },
    });
  }
}

/**
 * True if a record could meet the filter at all: no stored text holds what {@link isStorable} refuses, and no type has
 * characters that media types have not.
 */
export function canMatch({ owner, usage, relation, contentType = 'any' }: FileFilter): boolean {
  const texts = [owner, usage, relation?.name, relation?.id];
  return texts.every((text) => isStorable(text ?? '')) && MEDIA_TYPE.test(contentType);
}

/** Records that are older than the service may have a type without a subtype. */
const MEDIA_TYPE = /^[\w!#$%&'*+.^`|~-]+(?:\/[\w!#$%&'*+.^`|~-]+)?$/;

const BROKEN_TEXT = 'a NUL character or broken Unicode';

/** What of a value would not read back as it was given; undefined if all of it would. */
function faultOf(value: JsonValue): string | undefined {
  if (typeof value === 'string') return isStorable(value) ? undefined : BROKEN_TEXT;
  if (typeof value === 'number') return faultOfNumber(value);
  if (value === null || typeof value !== 'object') return undefined;
  for (const [key, item] of Object.entries(value)) {
    const fault = isStorable(key) ? faultOf(item) : BROKEN_TEXT;
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** From here on JavaScript writes a number with an exponent: it was meant as a measure and not as digits. */
const MEASURE = 1e21;

/** JSON has no NaN, no infinity, and a 0 without a sign; of a long number it may have lost the last digits already. */
function faultOfNumber(value: number): string | undefined {
  if (!Number.isFinite(value)) return 'a number that JSON cannot write';
  if (Object.is(value, -0)) return 'a negative zero: send 0';
  if (Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(value) < MEASURE) {
    return 'a whole number beyond 2^53 - 1, whose last digits a JSON number does not keep: send it as text';
  }
  return undefined;
}

function refused(field: string): AssetError {
  return new AssetError('CATALOG_REFUSED', `${field} holds a NUL character or broken Unicode.`, {
    metadata: { field },
  });
}
