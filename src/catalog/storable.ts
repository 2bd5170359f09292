import { AssetError } from '../errors.ts';
import type { FileChange, FileFilter, JsonValue } from './file-catalog.ts';

/**
 * True unless the text holds a NUL character or half a surrogate pair. PostgreSQL cannot store the
 * first and every encoder mangles the second, so that no catalog takes either.
 */
export function isStorable(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0');
}

/**
 * Throws CATALOG_REFUSED (metadata: field), or ATTRIBUTE_INVALID (metadata: attribute), if a text in the
 * description is not {@link isStorable}. Attributes may nest.
 */
export function assertStorable(
  description: FileChange & { readonly createdBy?: string; readonly createdFor?: string },
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
    if (isStorable(attribute) && isStorableJson(value)) continue;
    throw new AssetError('ATTRIBUTE_INVALID', 'An attribute holds a NUL character or broken Unicode.', {
      metadata: { attribute: attribute.toWellFormed() },
    });
  }
}

/** True if a record could meet the filter at all: no stored text holds what {@link isStorable} refuses. */
export function canMatch({ owner, usage, relation, contentType }: FileFilter): boolean {
  return [owner, usage, relation?.name, relation?.id, contentType].every((text) => isStorable(text ?? ''));
}

function isStorableJson(value: JsonValue): boolean {
  if (typeof value === 'string') return isStorable(value);
  if (value === null || typeof value !== 'object') return true;
  return Object.entries(value).every(([key, item]) => isStorable(key) && isStorableJson(item));
}

function refused(field: string): AssetError {
  return new AssetError('CATALOG_REFUSED', `${field} holds a NUL character or broken Unicode.`, {
    metadata: { field },
  });
}
