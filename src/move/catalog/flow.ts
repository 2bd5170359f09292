import { randomUUID } from 'node:crypto';
import type { CatalogCall } from '../../catalog/file-catalog.ts';
import { reached } from '../../system/crash-points.ts';
import { changeRow, decideRow, newestRow } from '../replicas/row.ts';
import { CATALOG_ROW, type MovedCatalogs } from './progress.ts';
import { MoveRefused } from '../refused.ts';
import { catalogId, giveCatalogId, isOver, readCatalogRow, type CatalogRow } from './row.ts';

/** A move in the direction in which it goes now: from the active catalog (`source`) to the other one. */
export interface Flow extends MovedCatalogs {
  readonly row: CatalogRow;
}

/**
 * The move between two catalogs; undefined if none was begun.
 *
 * @throws MoveRefused if one of them is in a move with another catalog
 */
export async function flowOf(catalogs: MovedCatalogs, call?: CatalogCall): Promise<Flow | undefined> {
  const both = [catalogs.source, catalogs.target];
  const [ids, rows] = await Promise.all([
    Promise.all(both.map((catalog) => catalogId(catalog, call))),
    Promise.all(both.map((catalog) => readCatalogRow(catalog, call))),
  ]);
  const row = newestRow(rows)?.row;
  if (row === undefined) return undefined;
  if (![row.source.id, row.target.id].every((id) => ids.includes(id))) {
    if (isOver(row)) return undefined;
    throw new MoveRefused(
      `a move to ${row.target.kind} is under way, and ASSET_NEXT_CATALOG names another catalog (${catalogs.target.kind}): ` +
        'set it as it was, or run `asset-service catalog move cancel` with those settings first',
    );
  }
  const { source, target } = catalogs;
  return row.active === ids[0] ? { source, target, row } : { source: target, target: source, row };
}

/**
 * The move from `catalogs.source`, which is begun if there is none.
 *
 * @throws MoveRefused if the files are elsewhere, or another move is under way
 */
export async function beginMove(catalogs: MovedCatalogs, signal: AbortSignal): Promise<Flow> {
  const { source, target } = catalogs;
  const flow = await flowOf(catalogs, { signal });
  if (flow && !isOver(flow.row)) return flow;
  const [from, to] = [await giveCatalogId(source, { signal }), await giveCatalogId(target, { signal })];
  const [own, other] = await Promise.all([source, target].map((one) => readCatalogRow(one, { signal })));
  if (own && own.row.active !== from) {
    throw new MoveRefused(
      `the files are not in the catalog of ASSET_CATALOG (${source.kind}): the move to ${own.row.target.kind} is complete. ` +
        'Set ASSET_CATALOG to that one, and ASSET_NEXT_* to where the next move goes',
    );
  }
  if (other && other.row.active === to && !(own && own.row.epoch > other.row.epoch)) {
    throw new MoveRefused('ASSET_NEXT_CATALOG: this catalog is in use: it has the files of another move');
  }
  const row: CatalogRow = {
    ...{ move: randomUUID(), epoch: Math.max(own?.row.epoch ?? 0, other?.row.epoch ?? 0) + 1 },
    ...{ state: 'following', active: from, maxPauseMs: 0, time: new Date().toISOString() },
    source: { kind: source.kind, id: from },
    target: { kind: target.kind, id: to },
    eras: own?.row.eras ?? [{ catalog: from, start: '', end: '', last: '' }],
  };
  if (!(await decideRow(source, CATALOG_ROW, own, row, { signal }))) throw rowLost();
  await changeRow(target, CATALOG_ROW, other, row, { signal });
  return { ...catalogs, row };
}

/**
 * Changes the row: first in the active catalog, which decides, then in the other one.
 *
 * @throws MoveRefused if another process has changed it, such as a replica that ended a long pause
 */
export async function advance(
  flow: Flow,
  change: Partial<Pick<CatalogRow, 'state' | 'active' | 'eras' | 'maxPauseMs'>>,
  signal: AbortSignal,
): Promise<CatalogRow> {
  const { source, target, row: before } = flow;
  const row = { ...before, ...change, epoch: before.epoch + 1, time: new Date().toISOString() };
  const stored = await readCatalogRow(source, { signal });
  if (stored && stored.row.epoch > before.epoch) throw rowLost();
  if (!(await decideRow(source, CATALOG_ROW, stored, row, { signal }))) throw rowLost();
  if (row.active !== before.active) reached('move.decided');
  await copyRow(row, target, signal);
  return row;
}

/** If that fails the replicas do it. */
async function copyRow(
  row: CatalogRow,
  catalog: MovedCatalogs['target'],
  signal: AbortSignal,
): Promise<void> {
  try {
    const stored = await readCatalogRow(catalog, { signal });
    if ((stored?.row.epoch ?? 0) < row.epoch) await changeRow(catalog, CATALOG_ROW, stored, row, { signal });
  } catch {
    signal.throwIfAborted();
  }
}

function rowLost(): MoveRefused {
  return new MoveRefused('another process has changed the state of the move meanwhile');
}
