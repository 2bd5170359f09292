import { randomUUID } from 'node:crypto';
import { MoveRefused } from '../refused.ts';
import type { Direction } from './copy-file.ts';
import {
  STORE_MOVE,
  storeProgress,
  type MovedStore,
  type StoreMove,
  type StoreProgress,
} from './progress.ts';
import { changeRow, isUnderWay, readRow, type StoredRow, type StoreRow } from './row.ts';
import { giveStoreId, storeId } from './store-id.ts';
import { dropVerification } from './verification.ts';

/** A move under way, with its stores by their roles. */
export interface BegunMove {
  readonly stored: StoredRow;
  readonly progress: StoreProgress;
  readonly source: MovedStore;
  readonly target: MovedStore;
  readonly toTarget: Direction;
  readonly toSource: Direction;
  /** The directions in which files that have changed are copied. */
  readonly directions: readonly Direction[];
  /** The stores in which purged files are removed by the mover. */
  readonly purgedIn: readonly MovedStore[];
}

/** The move that the row tells of, or a new one from ASSET_STORE to ASSET_NEXT_STORE. */
export async function begin(move: StoreMove, signal: AbortSignal): Promise<BegunMove> {
  const stored = await readRow(move.catalog, { signal });
  if (stored === undefined || stored.row.state === 'cancelled') return newMove(move, stored, signal);
  // After a move that is over: one from where the files are now, to a third store or back.
  if (!isUnderWay(stored.row) && (await storeId(move.own.store, { signal })) === stored.row.target.id)
    return newMove(move, stored, signal);
  return begunMove(move, stored, signal);
}

/**
 * The move that the row tells of.
 *
 * @throws MoveRefused if none was begun, it was cancelled, or the settings name other stores
 */
export async function begun(move: StoreMove, signal: AbortSignal): Promise<BegunMove> {
  const stored = await readRow(move.catalog, { signal });
  if (stored === undefined || stored.row.state === 'cancelled')
    throw new MoveRefused('no store move is under way: run `asset-service store move start` first');
  return begunMove(move, stored, signal);
}

async function begunMove(move: StoreMove, stored: StoredRow, signal: AbortSignal): Promise<BegunMove> {
  const { row } = stored;
  const [own, next] = await Promise.all([
    storeId(move.own.store, { signal }),
    storeId(move.next.store, { signal }),
  ]);
  const isForward = own === row.source.id && next === row.target.id;
  const isSwapped = own === row.target.id && next === row.source.id;
  if (!isForward && !isSwapped) {
    const names = [
      ...(own === row.source.id || own === row.target.id ? [] : ['ASSET_STORE']),
      ...(next === row.source.id || next === row.target.id ? [] : ['ASSET_NEXT_STORE']),
    ];
    throw new MoveRefused(
      `a move from a ${row.source.kind} to a ${row.target.kind} store was begun, and ${names.join(' and ') || 'the settings'} ` +
        'name another store: set them as they were when it began',
    );
  }
  const progress = await storeProgress(move.catalog, signal);
  if (progress?.move !== row.move)
    throw new MoveRefused('the progress of the move is missing: run `asset-service store move start`');
  const [source, target] = isForward ? [move.own, move.next] : [move.next, move.own];
  return { ...rolesOf(row, source, target), stored, progress };
}

/** The same move after its row was changed. */
export function withRow(move: BegunMove, stored: StoredRow): BegunMove {
  return { ...move, ...rolesOf(stored.row, move.source, move.target), stored };
}

function rolesOf(row: StoreRow, source: MovedStore, target: MovedStore) {
  const toTarget = { from: source, to: target };
  const toSource = { from: target, to: source };
  // After a switch each store keeps up with the other, until the move is complete.
  const both = isUnderWay(row) && row.switched;
  return {
    ...{ source, target, toTarget, toSource, directions: both ? [toTarget, toSource] : [toTarget] },
    purgedIn: both || !isUnderWay(row) ? [source, target] : [target],
  };
}

async function newMove(
  move: StoreMove,
  before: StoredRow | undefined,
  signal: AbortSignal,
): Promise<BegunMove> {
  const { catalog, own, next } = move;
  const [sourceId, targetId] = [
    await giveStoreId(own.store, { signal }),
    await giveStoreId(next.store, { signal }),
  ];
  if (sourceId === targetId)
    throw new MoveRefused(
      'ASSET_NEXT_STORE names the store of the service itself: a move goes to another one',
    );
  const now = new Date().toISOString();
  const id = randomUUID();
  const progress: StoreProgress = {
    ...{ move: id, run: 'copying', startTime: now, updateTime: now, holder: '' },
    // Before the first file is copied: what changes meanwhile comes after it.
    log: await catalog.changes.position('now', { signal }),
    ...{ cursor: '', isCopied: false, copied: 0, copiedBytes: 0, followed: 0, rate: 0, refused: [] },
    lastError: '',
  };
  await catalog.legacy.putState(STORE_MOVE, progress, { signal });
  await dropVerification(catalog, signal);
  const row = {
    ...({ move: id, state: 'moving', active: 'source', switched: false, switchTime: '' } as const),
    ...{ source: { kind: own.store.kind, id: sourceId }, target: { kind: next.store.kind, id: targetId } },
  };
  const stored = await changeRow(catalog, before, row, { signal });
  return { ...rolesOf(stored.row, own, next), stored, progress };
}
