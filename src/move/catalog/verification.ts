import type { FileCatalog } from '../../catalog/file-catalog.ts';

/** Name of the result in the source. */
const VERIFY = 'catalog-move-verify';

/** A record, or another item such as `upload abc`, that is not the same in both catalogs. */
export type Difference = {
  readonly id: string;
  /** `missing`, `foreign` (the source does not have it), `differs`, or the names of fields. */
  readonly reason: string;
};

/** Result of a comparison, stored in the source. */
export type MoveVerification = {
  readonly state: 'running' | 'done';
  /** Of the move that it belongs to. */
  readonly moveStartTime: string;
  readonly startTime: string;
  /** Empty until it is done. */
  readonly endTime: string;
  /** Id of the last compared record. */
  readonly cursor: string;
  readonly checked: number;
  readonly damagedCount: number;
  readonly damaged: readonly Difference[];
};

/** The result of the last comparison, if any. */
export async function moveVerification(
  source: FileCatalog,
  signal?: AbortSignal,
): Promise<MoveVerification | undefined> {
  const state: unknown = await source.legacy.getState(VERIFY, { ...(signal && { signal }) });
  return state as MoveVerification | undefined;
}

/** Stores the result. */
export async function keepVerification(
  source: FileCatalog,
  result: MoveVerification,
  signal: AbortSignal,
): Promise<void> {
  await source.legacy.putState(VERIFY, result, { signal });
}
