import { isDeepStrictEqual } from 'node:util';
import type { CatalogCall, FileCatalog, JsonValue } from '../../catalog/file-catalog.ts';

/** Owner of the rows of moves among the subscriptions; no caller has it. */
const OWNER = 'service';

/** What every row of a move has. A type alias, because interfaces are not assignable to JSON values. */
export type MoveRow = {
  /** Id of the move. */
  readonly move: string;
  /** Increases by one with every change of the row. */
  readonly epoch: number;
  readonly state: string;
};

/** A row as it was read, for {@link changeRow}. */
export interface StoredRow<Row extends MoveRow> {
  readonly row: Row;
  /** Of the subscription that stores it. */
  readonly revision: string;
}

/**
 * The row of a move that all replicas obey, if there is one. It is stored among the subscriptions, because these have
 * compare-and-set in every catalog.
 *
 * @param key - name of the row, such as `catalogmove`: 1 to 64 of `[a-z0-9]`
 */
export async function readRow<Row extends MoveRow>(
  catalog: Pick<FileCatalog, 'subscriptions'>,
  key: string,
  call?: CatalogCall,
): Promise<StoredRow<Row> | undefined> {
  const found = await catalog.subscriptions.get(key, call);
  return found && { row: JSON.parse(found.state) as Row, revision: found.revision };
}

/**
 * Writes a row in place of the one that was read before, or the first one.
 *
 * @param before - what {@link readRow} returned
 * @returns false, without a change, if another process has changed it since
 */
export function changeRow<Row extends MoveRow & { readonly [name: string]: JsonValue }>(
  catalog: Pick<FileCatalog, 'subscriptions'>,
  key: string,
  before: StoredRow<Row> | undefined,
  row: Row,
  call?: CatalogCall,
): Promise<boolean> {
  const { subscriptions } = catalog;
  const text = JSON.stringify(row);
  if (before === undefined) return subscriptions.create(key, OWNER, text, call);
  return subscriptions.update(key, before.revision, text, call);
}

/**
 * Like {@link changeRow}, but certain of the result although the catalog fails meanwhile: a write that failed may still
 * happen, until the row has changed.
 *
 * @returns false if another process has changed the row
 * @throws the error of the catalog if it stays unavailable until `call.signal` is aborted
 */
export async function decideRow<Row extends MoveRow & { readonly [name: string]: JsonValue }>(
  catalog: Pick<FileCatalog, 'subscriptions'>,
  key: string,
  before: StoredRow<Row> | undefined,
  row: Row,
  call: { readonly signal: AbortSignal },
): Promise<boolean> {
  for (let failure: unknown; ;) {
    try {
      if (failure !== undefined) {
        const now = await readRow<Row>(catalog, key, call);
        if (now && isDeepStrictEqual(now.row, row)) return true;
        if (now?.revision !== before?.revision) return false;
      }
      if (await changeRow(catalog, key, before, row, call)) return true;
      // The revision may be of our own write, whose answer was lost.
      const now = await readRow<Row>(catalog, key, call);
      if (now && isDeepStrictEqual(now.row, row)) return true;
      if (now?.revision !== before?.revision) return false;
      failure = new Error('the row was not written');
    } catch (error) {
      if (call.signal.aborted) throw failure ?? error;
      failure = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Of several copies of a row the one with the highest epoch. */
export function newestRow<Row extends MoveRow>(
  copies: readonly (StoredRow<Row> | undefined)[],
): StoredRow<Row> | undefined {
  return copies.reduce(
    (best, one) => ((one?.row.epoch ?? -1) > (best?.row.epoch ?? -1) ? one : best),
    undefined,
  );
}
