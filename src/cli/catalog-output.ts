import type { MoveProgress } from '../move/catalog/progress.ts';
import type { CatalogRow } from '../move/catalog/row.ts';
import { stateOf, type MoveStatus } from '../move/catalog/status.ts';
import type { MoveVerification } from '../move/catalog/verification.ts';

/** What programs read of the progress. */
export function progressJson(progress: MoveProgress): object {
  const { state, cursor, copied, followed, rate, target, refused, lastError, holder } = progress;
  return {
    ...{ state, cursor, copied, followed, rate, target, refused, last_error: lastError, holder },
    ...{ start_time: progress.startTime, update_time: progress.updateTime },
  };
}

/** What programs read of a comparison. */
export function verificationJson(result: MoveVerification, resumedFrom: string): object {
  const { state, checked, damaged, damagedCount, startTime, endTime } = result;
  return {
    ...{ state, checked, resumed_from: resumedFrom, damaged, damaged_count: damagedCount },
    ...{ start_time: startTime, end_time: endTime },
  };
}

/** What programs read of the whole. */
export function statusJson(status: MoveStatus): object {
  const { progress, lagMs, verification, nextSteps, row, replicas } = status;
  const none = { cursor: '', copied: 0, followed: 0, rate: 0, refused: [] };
  const { isStale, ...result } = verification ?? { isStale: true };
  return {
    ...(progress ? progressJson(progress) : none),
    state: stateOf(status),
    active: row === undefined ? null : activeKind(row),
    epoch: row?.epoch ?? 0,
    lag: lagMs === undefined ? null : lagMs / 1_000,
    verify: 'state' in result ? { ...verificationJson(result, ''), stale: isStale } : null,
    replicas: replicas.map(({ id, epoch, state }) => ({ id, epoch, state })),
    next_steps: nextSteps,
  };
}

/** Kind of the catalog that serves. */
export function activeKind({ active, source, target }: CatalogRow): string {
  return active === source.id ? source.kind : target.kind;
}

/** The same for people. */
export function statusText(status: MoveStatus): string {
  const { progress, lagMs, verification, nextSteps, row, replicas } = status;
  const lag = lagMs === undefined ? 'the change log was cut' : `${lagMs / 1_000} s behind`;
  const compared =
    verification &&
    `verify: ${verification.state}, ${verification.checked} records, ${verification.damagedCount} differ, ${verification.endTime || verification.startTime}`;
  return [
    `state: ${stateOf(status)}`,
    ...(row ? [`serves: ${activeKind(row)} (epoch ${row.epoch})`] : []),
    ...(progress && row?.state !== 'completed'
      ? [
          `to ${progress.target}: ${progress.copied} records copied, ${progress.followed} changes followed, ${lag}`,
        ]
      : []),
    ...(progress?.lastError ? [`stopped by: ${progress.lastError}`] : []),
    ...(progress?.refused ?? []).map(({ id, reason }) => `refused: ${id}: ${reason}`),
    compared ?? 'verify: never run',
    ...replicas.map(({ id, epoch, state }) => `replica ${id}: ${state} (epoch ${epoch})`),
    ...nextSteps.map((command) => `next: ${command}`),
  ].join('\n');
}
