import { AssetError } from '../../errors/asset-error.ts';
import { idTaken, refusedByRule, valueRefused } from '../../errors/dependencies.ts';
import { attributeInvalid } from '../../errors/fields.ts';
import type { RawRecord } from './client.ts';
import { leftOut, Refusal } from './failures.ts';
import type { FieldMap, Schema } from './schema.ts';

/** Codes for a value that another record has; the second for ids in concurrent batches. */
const TAKEN = ['validation_not_unique', 'validation_pk_invalid'];

/** True if a field was refused because another record has its value. */
export function isTaken(refusal: Refusal, field: string): boolean {
  return TAKEN.includes(refusal.fields.get(field) ?? '');
}

/**
 * True if a batch was executed, false if its first request was refused because its record is gone.
 *
 * @param isGone - other refusals with this meaning
 */
export async function unlessGone(
  batch: Promise<readonly (RawRecord | undefined)[]>,
  isGone: (refusal: Refusal) => boolean = () => false,
): Promise<boolean> {
  try {
    const missing = (await batch).indexOf(undefined);
    if (missing >= 0) throw leftOut(missing);
    return true;
  } catch (error) {
    if (!(error instanceof Refusal) || error.index !== 0) throw error;
    if (error.status !== 404 && !isGone(error)) throw error;
    return false;
  }
}

/** The contract's error for a refused description. */
export function toAssetError(refusal: Refusal, map: FieldMap, schema: Schema): AssetError {
  const [name, code] = [...refusal.fields][0] ?? [];
  if (name === undefined) return refusedByRule(refusal);
  const ours = Object.entries(map).find(([, field]) => field === name)?.[0];
  const field = ours === undefined ? name : contractName(ours);
  if (code === 'validation_missing_rel_records') {
    return new AssetError('RELATION_TARGET_MISSING', `A target of "${field}" does not exist.`, {
      metadata: { relation: field },
      cause: refusal,
    });
  }
  if (ours === undefined && schema.attributes.has(name)) {
    return attributeInvalid(name, 'its rules do not allow the value', { cause: refusal });
  }
  if (name === 'id') return idTaken('file', refusal);
  // A field that callers do not see: its name is only for the log.
  if (ours === undefined && !schema.relations.has(name)) return refusedByRule(refusal);
  const path = ours === undefined ? `relations.${name}` : field;
  return valueRefused(path, 'its rules do not allow the value', refusal);
}

/** Converts one of our field names to the contract's. */
export function contractName(ours: string): string {
  return ours.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
