import type { CatalogCall } from '../catalog/file-catalog.ts';
import type { LegacyRecords } from '../catalog/legacy-records.ts';

/** Result for an object of the old bucket; in a dry run the expected result. */
export type PurgeStatus =
  /** The original of a moved file, deleted (in a dry run: to be deleted). */
  | 'original'
  /** A thumbnail of a moved file, deleted in the same way. */
  | 'thumb'
  /** The object of a file that was not moved and is acknowledged: it stays. */
  | 'kept'
  /** An object that no record names: it stays. */
  | 'orphan'
  /** The original has other bytes than the copy: it stays. */
  | 'differs'
  /** The copy of the file is missing or has another size: it stays. */
  | 'unproven';

/** Progress and result of a purge, stored in the catalog. */
export type PurgeState = {
  readonly state: 'running' | 'stopped' | 'done';
  readonly by: string;
  readonly startTime: string;
  /** When it ended; empty before. */
  readonly endTime: string;
  /** Number of objects in the list of the bucket. */
  readonly listed: number;
  /** Number of objects to delete. */
  readonly planned: number;
  /** Number of objects by result. */
  readonly counts: Readonly<Partial<Record<PurgeStatus, number>>>;
  readonly deletedBytes: number;
  /** Why the last run stopped; empty if it did not. */
  readonly lastError: string;
};

/** Name of the state in the catalog, and of the lease of the running purge. */
export const PURGE = 'legacy-purge';

/** The state of the last purge, if any. */
export async function purgeState(legacy: LegacyRecords, call?: CatalogCall): Promise<PurgeState | undefined> {
  return ((await legacy.getState(PURGE, call)) ?? undefined) as PurgeState | undefined;
}
