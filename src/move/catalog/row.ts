import { randomUUID } from 'node:crypto';
import type { CatalogCall, FileCatalog } from '../../catalog/file-catalog.ts';
import { newestRow, readRow, type StoredRow } from '../replicas/row.ts';
import { CATALOG_ID, CATALOG_ROW, type MovedCatalogs } from './progress.ts';

/** A catalog of a move. */
export type MoveSide = {
  /** Such as `postgres`. */
  readonly kind: string;
  /** See {@link catalogId}. */
  readonly id: string;
};

/** A part of the change log: that of one catalog, while it was the active one. */
export type Era = {
  /** Id of the catalog. */
  readonly catalog: string;
  /** Cursor of its log at which the part begins; empty for the first part, which begins with the log. */
  readonly start: string;
  /** Cursor of its end; empty for the part that goes on. */
  readonly end: string;
  /** Cursor after its last change, which a log with further entries does not end with. */
  readonly last: string;
};

/**
 * The row of a catalog move, which is in both catalogs. The higher epoch counts.
 *
 * The copy in the active catalog decides: every change is a compare-and-set there first, and then copied to the other. So a
 * catalog whose row says that it is active, and not paused, is; whoever reads that row need not reach the other one.
 */
export type CatalogRow = {
  readonly move: string;
  readonly epoch: number;
  /**
   * - `following`: the source is active, the target is made like it;
   * - `preparing`: as before, but a pause is near, and replicas look more often;
   * - `paused`: writes are held;
   * - `switched`: the target is active, the source is made like it;
   * - `completed`: the target is active for good;
   * - `cancelled`: the source is active for good.
   */
  readonly state: 'following' | 'preparing' | 'paused' | 'switched' | 'completed' | 'cancelled';
  readonly source: MoveSide;
  readonly target: MoveSide;
  /** Id of the active catalog. */
  readonly active: string;
  /** All parts of the change log in their order; the last one is that of the active catalog. */
  readonly eras: readonly Era[];
  /** How long a pause may take, in milliseconds: replicas end one that takes much longer. */
  readonly maxPauseMs: number;
  /** Of the last change. */
  readonly time: string;
};

/** The id of a catalog, which a move gives it; undefined if it was in none. */
export async function catalogId(
  catalog: Pick<FileCatalog, 'legacy'>,
  call?: CatalogCall,
): Promise<string | undefined> {
  const id = await catalog.legacy.getState(CATALOG_ID, call);
  return typeof id === 'string' ? id : undefined;
}

/** The id of a catalog, which it gets if it has none. Only for the mover, under its lease. */
export async function giveCatalogId(
  catalog: Pick<FileCatalog, 'legacy'>,
  call: CatalogCall,
): Promise<string> {
  const earlier = await catalogId(catalog, call);
  if (earlier !== undefined) return earlier;
  const id = randomUUID();
  await catalog.legacy.putState(CATALOG_ID, id, call);
  return id;
}

/** The row in a catalog, if any. */
export function readCatalogRow(
  catalog: Pick<FileCatalog, 'subscriptions'>,
  call?: CatalogCall,
): Promise<StoredRow<CatalogRow> | undefined> {
  return readRow<CatalogRow>(catalog, CATALOG_ROW, call);
}

/** The row that counts of those in both catalogs. */
export async function movedRow(
  { source, target }: MovedCatalogs,
  call?: CatalogCall,
): Promise<CatalogRow | undefined> {
  const stored = await Promise.all([source, target].map((catalog) => readCatalogRow(catalog, call)));
  return newestRow(stored)?.row;
}

/** True if nothing flows any more: another move may begin. */
export function isOver({ state }: CatalogRow): boolean {
  return state === 'completed' || state === 'cancelled';
}

/** The state of a row when nothing is paused. */
export function openState({ active, source }: CatalogRow): 'following' | 'switched' {
  return active === source.id ? 'following' : 'switched';
}
