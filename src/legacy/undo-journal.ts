import type { CatalogCall } from '../catalog/file-catalog.ts';
import type { LegacyRecord, LegacyRecords } from '../catalog/legacy-records.ts';

/** Values of a record before its bytes were moved. A type alias, because interfaces are not assignable to JSON values.
 */
export type BeforeMove = {
  readonly id: string;
  readonly sizeBytes: number;
  readonly contentType: string;
  /** Empty if it had none. */
  readonly link: string;
};

const nameOf = (page: number) => `legacy-before-${page}`;

/** Saves the values of records before a step changes them. Replaces a page that exists. */
export async function writeBefore(
  legacy: LegacyRecords,
  page: number,
  records: readonly LegacyRecord[],
  linkField: string,
  call?: CatalogCall,
): Promise<void> {
  const entries = records.map(({ file, fields }): BeforeMove => {
    const { id, sizeBytes, contentType } = file;
    return { id, sizeBytes, contentType, link: fields[linkField]?.[0] ?? '' };
  });
  await legacy.putState(nameOf(page), entries, call);
}

/** The values that {@link writeBefore} saved in a page. */
export async function readBefore(
  legacy: LegacyRecords,
  page: number,
  call?: CatalogCall,
): Promise<readonly BeforeMove[]> {
  return ((await legacy.getState(nameOf(page), call)) ?? []) as unknown as readonly BeforeMove[];
}
