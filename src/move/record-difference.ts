import { isDeepStrictEqual } from 'node:util';
import type { JsonValue } from '../catalog/catalog-call.ts';
import type { FileRecord, TransferredFile } from '../catalog/file-catalog.ts';

/**
 * Why two records are not the same: `missing` in the target, `foreign` if the source does not have it, or the names of the
 * fields that differ. Undefined if they are the same.
 */
export function recordDifference(
  source: TransferredFile | undefined,
  target: TransferredFile | undefined,
  options: { readonly unsetIsZero: boolean },
): string | undefined {
  if (source === undefined) return target && 'foreign';
  if (target === undefined) return 'missing';
  const [one, other] = [fieldsOf(source, options), fieldsOf(target, options)];
  const names = [...new Set([...Object.keys(one), ...Object.keys(other)])];
  const different = names.filter((name) => !isDeepStrictEqual(one[name], other[name]));
  return different.length === 0 ? undefined : different.sort().join(', ');
}

/** All fields of a record in a form that can be compared, with those in `relations` and `attributes` by themselves. */
function fieldsOf(
  { record, requestKey }: TransferredFile,
  { unsetIsZero }: { readonly unsetIsZero: boolean },
): Readonly<Record<string, unknown>> {
  const { relations, attributes, sha256, ...plain } = record satisfies FileRecord;
  const set = Object.entries(attributes).filter(([, value]) => !isUnset(value, unsetIsZero));
  const fields: readonly (readonly [string, unknown])[] = [
    ...Object.entries(plain),
    ['sha256', sha256 && Buffer.from(sha256).toString('hex')],
    ['requestKey', requestKey],
    ...Object.entries(relations).map(([name, ids]) => [`relations.${name}`, ids] as const),
    ...set.map(([name, value]) => [`attributes.${name}`, value] as const),
  ];
  return Object.fromEntries(fields.filter(([, value]) => value !== undefined));
}

/** PocketBase does not tell an attribute without a value from an empty one, and shows numbers and booleans as 0 and false. */
function isUnset(value: JsonValue, unsetIsZero: boolean): boolean {
  if (!unsetIsZero) return false;
  return value === '' || value === 0 || value === false || (Array.isArray(value) && value.length === 0);
}
