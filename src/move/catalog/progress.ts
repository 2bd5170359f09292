import type { FileCatalog } from '../../catalog/file-catalog.ts';
import { REPLICA_LEASES } from '../replicas/presence.ts';

/** The catalogs of a move. */
export interface MovedCatalogs {
  readonly source: FileCatalog;
  readonly target: FileCatalog;
}

/** A record that the target does not take. A type alias, because interfaces are not assignable to JSON values. */
export type RefusedRecord = { readonly id: string; readonly reason: string };

/** Progress of a move, stored in the source, so that another process on any machine continues. */
export type MoveProgress = {
  /** Id of the move. */
  readonly move: string;
  /** `stopped` if a run ended early; the next one continues. */
  readonly state: 'copying' | 'following' | 'stopped' | 'cancelled';
  readonly startTime: string;
  readonly updateTime: string;
  /** Who runs it, or ran it last. */
  readonly holder: string;
  /** Kind of the target, such as `postgres`. */
  readonly target: string;
  /** Position in the change log of the source: what comes after it is not in the target yet. */
  readonly log: string;
  /** Position after the last change that was followed: callers who have seen everything stand there, or at `log`. */
  readonly lastChange: string;
  /** Id of the last copied record. */
  readonly cursor: string;
  readonly isCopied: boolean;
  /** Number of records that were copied. */
  readonly copied: number;
  /** Number of changes that were followed. */
  readonly followed: number;
  /** Maximum number of records per second; 0 for no limit. */
  readonly rate: number;
  readonly refused: readonly RefusedRecord[];
  /** Why the last run stopped; empty if it did not. */
  readonly lastError: string;
};

/** Name of the lease of the mover, and of the progress in the source. */
export const CATALOG_MOVE = 'catalog-move';

/** Name of the row that all replicas obey, in both catalogs. */
export const CATALOG_ROW = 'catalogmove';

/** Name of the state with the id of a catalog, which tells it from every other. */
export const CATALOG_ID = 'catalog-id';

/** The progress of the last move from this catalog, if any. */
export async function moveProgress(
  source: FileCatalog,
  signal?: AbortSignal,
): Promise<MoveProgress | undefined> {
  const state: unknown = await source.legacy.getState(CATALOG_MOVE, { ...(signal && { signal }) });
  return state as MoveProgress | undefined;
}

/** Stores the progress. */
export async function keepProgress(
  source: FileCatalog,
  progress: MoveProgress,
  signal: AbortSignal,
): Promise<void> {
  await source.legacy.putState(CATALOG_MOVE, progress, { signal });
}

/** True for what belongs to a catalog itself and is not moved with it. */
export function staysBehind({ kind, key }: { readonly kind: string; readonly key: string }): boolean {
  switch (kind) {
    case 'lease':
      return key === CATALOG_MOVE || key.startsWith(REPLICA_LEASES);
    case 'subscription':
      return key === CATALOG_ROW;
    default:
      return kind === 'legacy-state' && (key.startsWith(CATALOG_MOVE) || key === CATALOG_ID);
  }
}
