import type { AssetError } from '../errors/asset-error.ts';
import { valueRefused } from '../errors/dependencies.ts';
import { attributeInvalid } from '../errors/fields.ts';
import type { FileDescription, FileFilter, JsonValue } from './file-catalog.ts';

/**
 * True unless the text has a NUL character or a lone surrogate. PostgreSQL cannot store the first and encoders
 * replace the second, so no catalog accepts either.
 */
export function isStorable(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0');
}

/**
 * Throws CATALOG_REFUSED (metadata: field) or ATTRIBUTE_INVALID (metadata: attribute) if a text in the description
 * is not {@link isStorable}, or a number would read back as another. Attributes may nest.
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
    throw attributeInvalid(name, `the value holds ${fault}`);
  }
}

/**
 * True if a record could match the filter at all: stored texts are {@link isStorable}, and media types have a
 * limited set of characters.
 */
export function canMatch({ owner, usage, relation, contentType = 'any' }: FileFilter): boolean {
  const texts = [owner, usage, relation?.name, relation?.id];
  return texts.every((text) => isStorable(text ?? '')) && MEDIA_TYPE.test(contentType);
}

/** Records older than the service may have a type without a subtype. */
const MEDIA_TYPE = /^[\w!#$%&'*+.^`|~-]+(?:\/[\w!#$%&'*+.^`|~-]+)?$/;

const BROKEN_TEXT = 'a NUL character or broken Unicode';

/** Why a value would not read back unchanged; undefined if it would. */
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

/** From here on JavaScript writes a number with an exponent, so it is a measure and not an identifier. */
const MEASURE = 1e21;

/** JSON has no NaN, infinity or negative zero, and may have rounded a long integer. */
function faultOfNumber(value: number): string | undefined {
  if (!Number.isFinite(value)) return 'a number that JSON cannot write';
  if (Object.is(value, -0)) return 'a negative zero: send 0';
  if (Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(value) < MEASURE) {
    return 'a whole number beyond 2^53 - 1, whose last digits a JSON number does not keep: send it as text';
  }
  return undefined;
}

function refused(field: string): AssetError {
  return valueRefused(field, `the value holds ${BROKEN_TEXT}`);
}
