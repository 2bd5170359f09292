import type { FileCatalog } from '../../catalog/file-catalog.ts';
import { isStale, lagAfter } from '../following.ts';
import type { Presence } from '../replicas/presence.ts';
import { flowOf } from './flow.ts';
import { inLastEra } from './moved-changes.ts';
import { moveProgress, type MoveProgress } from './progress.ts';
import { replicasOf } from './replicas.ts';
import { readCatalogRow, type CatalogRow } from './row.ts';
import { moveVerification, type MoveVerification } from './verification.ts';

/** What is known of a move. */
export interface MoveStatus {
  /** Undefined if none was begun. */
  readonly progress: MoveProgress | undefined;
  /** The row that the replicas obey; undefined if there is none. */
  readonly row: CatalogRow | undefined;
  /** Age of the oldest change that the other catalog does not have, in milliseconds; undefined if the log was cut before it. */
  readonly lagMs: number | undefined;
  /** Of this move; undefined if there was none. */
  readonly verification: (MoveVerification & { readonly isStale: boolean }) | undefined;
  /** Replicas that run. */
  readonly replicas: readonly Presence[];
  /** Commands, as text. */
  readonly nextSteps: readonly string[];
}

/**
 * The state of the move from a catalog. Changes nothing.
 *
 * @param own - the catalog of ASSET_CATALOG
 * @param next - that of ASSET_NEXT_CATALOG; undefined if it is not set or cannot be reached
 * @param options - `isServing`: `own` is the catalog of a replica, which is the active one and has the log of both;
 *   `isAlone`: `own` is that of ASSET_NEXT_CATALOG, because the other one cannot be reached
 */
export async function moveStatus(
  own: FileCatalog,
  next?: FileCatalog,
  signal?: AbortSignal,
  { isServing = false, isAlone = false }: { readonly isServing?: boolean; readonly isAlone?: boolean } = {},
): Promise<MoveStatus> {
  const call = { ...(signal && { signal }) };
  const flow = next && (await flowOf({ source: own, target: next }, call));
  const row = flow?.row ?? (await readCatalogRow(own, call))?.row;
  const source = flow?.source ?? own;
  const found = await moveProgress(source, signal);
  const progress = found && (row === undefined || found.move === row.move) ? found : undefined;
  const compared = progress && (await moveVerification(source, signal));
  const isOfThisMove = compared !== undefined && compared.moveStartTime === progress?.startTime;
  const verification = isOfThisMove ? { ...compared, isStale: isStale(compared) } : undefined;
  const isFlowing = progress !== undefined && progress.state !== 'cancelled' && row?.state !== 'completed';
  const lagMs = isFlowing
    ? await lagAfter(source, isServing ? inLastEra(row, progress.log) : progress.log, signal)
    : 0;
  const replicas = await replicasOf({ source, target: flow?.target ?? source }, signal);
  const known = { progress, row, lagMs, verification };
  return { ...known, replicas, nextSteps: isAlone ? stepsWithoutSource(row) : nextSteps(known) };
}

/** The state of the move in one word: that of the copy, until the target serves. */
export function stateOf({ progress, row }: Pick<MoveStatus, 'progress' | 'row'>): string {
  if (row && !['following', 'cancelled'].includes(row.state)) return row.state;
  return progress?.state ?? (row?.state === 'cancelled' ? 'cancelled' : 'none');
}

/** Replicas follow each second. */
const LAG_MS = 5_000;

const COMMAND = 'asset-service catalog move';

/** Asks before it does it: the source may come back. */
function stepsWithoutSource(row: CatalogRow | undefined): readonly string[] {
  return row?.state === 'switched' ? [`${COMMAND} complete --without-source`] : [];
}

function nextSteps({ progress, row, lagMs, verification }: Omit<MoveStatus, 'replicas' | 'nextSteps'>) {
  const [start, verify] = [`${COMMAND} start --yes`, `${COMMAND} verify`];
  if (row?.state === 'completed') return [];
  if (row !== undefined && row.active !== row.source.id) return [`${COMMAND} complete --yes`];
  if (progress === undefined || progress.state === 'cancelled') return [start];
  if (lagMs === undefined) return [`${COMMAND} cancel --yes`, start];
  if (!progress.isCopied || progress.refused.length > 0 || lagMs > LAG_MS) return [start];
  if (verification === undefined || verification.isStale) return [verify];
  return verification.damagedCount > 0 ? [start, verify] : [`${COMMAND} switch --yes`];
}
