import { AssetError } from './asset-error.ts';

// Errors about fields of a request.

/**
 * The error of a field that breaks a rule of the contract.
 *
 * @param field - its path in the request
 * @param problem - what is wrong with it and what to do, for the caller
 */
export function fieldInvalid(field: string, problem: string): AssetError {
  return new AssetError('FIELD_INVALID', `${field}: ${problem}`, { metadata: { field } });
}

/** The error of a path of the update mask that names no field, or several; `problem` is for the caller. */
export function fieldUnknown(path: string, problem: string): AssetError {
  return new AssetError('FIELD_UNKNOWN', `update_mask: "${path}" ${problem}`, { metadata: { field: path } });
}

/** Further properties of {@link attributeInvalid}. */
export interface InvalidAttribute {
  /** Maximum size of all attributes together; then `attribute` is empty. */
  readonly maxBytes?: number;
  readonly cause?: unknown;
}

/**
 * The error of an attribute that does not exist or whose value is refused.
 *
 * @param attribute - its name; empty for all of them together
 * @param problem - what is wrong and what to do, for the caller
 */
export function attributeInvalid(
  attribute: string,
  problem: string,
  { maxBytes, cause }: InvalidAttribute = {},
): AssetError {
  const what = attribute === '' ? 'file.attributes' : `the attribute "${attribute}"`;
  return new AssetError('ATTRIBUTE_INVALID', `${what}: ${problem}`, {
    metadata: { attribute, ...(maxBytes !== undefined && { max_bytes: String(maxBytes) }) },
    cause,
  });
}

/** The error of a relation that the catalog does not have. */
export function relationUnknown(relation: string): AssetError {
  return new AssetError('RELATION_UNKNOWN', `the catalog has no relation "${relation}": correct the name`, {
    metadata: { relation },
  });
}

/**
 * FIELD_NOT_WRITABLE: this change may not set the field.
 *
 * @param field - its path, for programs
 * @param message - names the field and says why, and what to do
 */
export function fieldNotWritable(field: string, message: string): AssetError {
  return new AssetError('FIELD_NOT_WRITABLE', message, { metadata: { field } });
}
