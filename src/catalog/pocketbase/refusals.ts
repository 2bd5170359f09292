import { AssetError } from '../../errors.ts';
import { Refusal } from './client.ts';
import { invalidAttribute } from './records.ts';
import type { FieldMap, Schema } from './schema.ts';

/** Codes of a value that another record has; the second for ids in batches that race. */
const TAKEN = ['validation_not_unique', 'validation_pk_invalid'];

/** True if a field was refused since another record has its value. */
export function isTaken(refusal: Refusal, field: string): boolean {
  return TAKEN.includes(refusal.fields.get(field) ?? '');
}

/**
 * True if a request was carried out, false if it was refused: what it is about is gone. With `index` that is
 * said of one request of a batch alone, and a refusal of another is thrown on.
 */
export async function unlessRefused(request: Promise<unknown>, index?: number): Promise<boolean> {
  try {
    await request;
    return true;
  } catch (error) {
    if (error instanceof Refusal && (index === undefined || error.index === index)) return false;
    throw error;
  }
}

/** What a refused description is called in the contract. */
export function toAssetError(refusal: Refusal, map: FieldMap, schema: Schema): AssetError {
  const [name, code] = [...refusal.fields][0] ?? ['', ''];
  const ours = Object.entries(map).find(([, field]) => field === name)?.[0];
  const field = ours === undefined ? name : ours.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  if (code === 'validation_missing_rel_records') {
    return new AssetError('RELATION_TARGET_MISSING', `A target of "${field}" does not exist.`, {
      metadata: { relation: field },
      cause: refusal,
    });
  }
  if (ours === undefined && schema.attributes.has(name)) return invalidAttribute(name, true, refusal);
  const path = schema.relations.has(name) ? `relations.${name}` : field;
  return new AssetError('CATALOG_REFUSED', `The catalog refuses the value of "${path}".`, {
    metadata: { field: path },
    cause: refusal,
  });
}
