import type { CatalogCall } from '../catalog/file-catalog.ts';
import type { LegacyRecords } from '../catalog/legacy-records.ts';

/** What is to become, or became, of an object of the old bucket. */
export type PurgeStatus =
  /** The original of a moved file, deleted (in a dry run: to be deleted). */
  | 'original'
  /** A thumb of such a file, deleted in the same way. */
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
  /** When it was done; empty before. */
  readonly endTime: string;
  /** Objects that the list of the bucket had. */
  readonly listed: number;
  /** Objects that were to be deleted. */
  readonly planned: number;
  /** Objects by what became of them. */
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
