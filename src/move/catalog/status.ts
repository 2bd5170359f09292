import type { FileCatalog } from '../../catalog/file-catalog.ts';
import { isAssetError } from '../../errors/asset-error.ts';
import { moveProgress, type MoveProgress } from './progress.ts';
import { moveVerification, type MoveVerification } from './verification.ts';

/** Time after which a comparison says too little about a catalog that is in use, in milliseconds. */
const STALE_MS = 3_600_000;

/** What is known of a move. */
export interface MoveStatus {
  /** Undefined if none was begun. */
  readonly progress: MoveProgress | undefined;
  /** Age of the oldest change that the target does not have, in milliseconds; undefined if the log was cut before it. */
  readonly lagMs: number | undefined;
  /** Of this move; undefined if there was none. */
  readonly verification: (MoveVerification & { readonly isStale: boolean }) | undefined;
  /** Commands, as text. */
  readonly nextSteps: readonly string[];
}

/** The state of the move from a catalog. Changes nothing. */
export async function moveStatus(source: FileCatalog, signal?: AbortSignal): Promise<MoveStatus> {
  const progress = await moveProgress(source, signal);
  const found = progress && (await moveVerification(source, signal));
  const isOfThisMove = found !== undefined && found.moveStartTime === progress?.startTime;
  const verification = isOfThisMove ? { ...found, isStale: isStale(found) } : undefined;
  const lagMs = progress === undefined ? 0 : await lagOf(source, progress, signal);
  return { progress, lagMs, verification, nextSteps: nextSteps(progress, lagMs, verification) };
}

function isStale({ state, endTime }: MoveVerification): boolean {
  return state !== 'done' || Date.now() - Date.parse(endTime) > STALE_MS;
}

async function lagOf(
  source: FileCatalog,
  { log, state }: MoveProgress,
  signal: AbortSignal | undefined,
): Promise<number | undefined> {
  if (state === 'cancelled') return 0;
  try {
    const { changes } = await source.changes.read(log, 1, { ...(signal && { signal }) });
    const [oldest] = changes;
    return oldest === undefined ? 0 : Math.max(0, Date.now() - oldest.time.getTime());
  } catch (error) {
    if (isAssetError(error, 'CURSOR_EXPIRED')) return undefined;
    throw error;
  }
}

const COMMAND = 'asset-service catalog move';

function nextSteps(
  progress: MoveProgress | undefined,
  lagMs: number | undefined,
  verification: MoveStatus['verification'],
): readonly string[] {
  const [start, verify] = [`${COMMAND} start --yes`, `${COMMAND} verify`];
  if (progress === undefined || progress.state === 'cancelled') return [start];
  if (lagMs === undefined) return [`${COMMAND} cancel --yes`, start];
  if (!progress.isCopied || progress.refused.length > 0 || lagMs > 0) return [start];
  if (verification === undefined || verification.isStale) return [verify];
  return verification.damagedCount > 0 ? [start, verify] : [];
}
