import type { CatalogCall } from '../catalog/file-catalog.ts';
import type { LegacyRecord, LegacyRecords } from '../catalog/legacy-records.ts';

/** What a record said before its bytes were moved. A type alias, because interfaces are not assignable to JSON values. */
export type BeforeMove = {
  readonly id: string;
  readonly sizeBytes: number;
  readonly contentType: string;
  /** Empty if it had none. */
  readonly link: string;
};

const nameOf = (page: number) => `legacy-before-${page}`;

/** Writes down what records say, before a step changes them. A page that is written again is replaced. */
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

/** What {@link writeBefore} wrote under a page. */
export async function readBefore(
  legacy: LegacyRecords,
  page: number,
  call?: CatalogCall,
): Promise<readonly BeforeMove[]> {
  return ((await legacy.getState(nameOf(page), call)) ?? []) as unknown as readonly BeforeMove[];
}
