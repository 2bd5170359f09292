import type { CatalogCall, FileCatalog } from '../../catalog/file-catalog.ts';
import { MoveRefused } from '../refused.ts';
import { decideRow, readRow as readMoveRow, type StoredRow as StoredMoveRow } from '../replicas/row.ts';

/** A store of a move. The id is in the store itself: see `storeId`. */
export type StoreName = {
  readonly kind: string;
  readonly id: string;
};

/**
 * The state of a store move that all replicas obey: one text in the catalog, changed by compare-and-set. `source` is the
 * store from before the move.
 */
export type StoreRow = {
  readonly version: 1;
  /** Id of the move. */
  readonly move: string;
  /** Grows with every change. */
  readonly epoch: number;
  readonly state: 'moving' | 'switched' | 'completed' | 'retired' | 'cancelled';
  /** The store that gets new files. */
  readonly active: 'source' | 'target';
  /** True once the target was active: from then on each of the two may have files that the other lacks. */
  readonly switched: boolean;
  readonly source: StoreName;
  readonly target: StoreName;
  /** When it was last changed, and when the target became active; empty if it never was. */
  readonly time: string;
  readonly switchTime: string;
};

/** A row with the revision for changing it. */
export type StoredRow = StoredMoveRow<StoreRow>;

const KEY = 'storemove';

/** The row of the last move, if there was one. */
export async function readRow(
  catalog: Pick<FileCatalog, 'subscriptions'>,
  call?: CatalogCall,
): Promise<StoredRow | undefined> {
  const stored = await readMoveRow<StoreRow>(catalog, KEY, call);
  if (stored !== undefined && (stored.row.version as number) !== 1)
    throw new Error(`the store move was begun by another release (version ${String(stored.row.version)})`);
  return stored;
}

/**
 * Changes the row, and its epoch.
 *
 * @param before - the row that the change was decided on; undefined if there was none
 * @throws MoveRefused if somebody else has changed it since
 */
export async function changeRow(
  catalog: Pick<FileCatalog, 'subscriptions'>,
  before: StoredRow | undefined,
  change: Omit<StoreRow, 'version' | 'epoch' | 'time'>,
  call: { readonly signal: AbortSignal },
): Promise<StoredRow> {
  const epoch = (before?.row.epoch ?? 0) + 1;
  const row: StoreRow = { ...change, version: 1, epoch, time: new Date().toISOString() };
  const isDone = await decideRow(catalog, KEY, before, row, call);
  const after = isDone ? await readRow(catalog, call) : undefined;
  if (after?.row.epoch !== epoch)
    throw new MoveRefused('another process has changed the state of the move: look at `store move status`');
  return after;
}

/** Id of the store that gets new files; undefined if a row says nothing about it. */
export function activeId(row: StoreRow | undefined): string | undefined {
  return row && row[row.active].id;
}

/** True while files are or may be in both stores. */
export function isUnderWay({ state }: StoreRow): boolean {
  return state === 'moving' || state === 'switched';
}
