import type { StoreProgress } from '../move/store/progress.ts';
import type { Retired } from '../move/store/retire.ts';
import type { StoreMoveStatus } from '../move/store/status.ts';
import type { VerifyState } from '../move/verify.ts';

/** What programs read of the progress of a store move. */
export function progressJson(progress: StoreProgress): object {
  const { cursor, copied, copiedBytes, followed, rate, refused, lastError, holder } = progress;
  return {
    ...{ cursor, copied, copied_bytes: copiedBytes, followed, rate, refused, last_error: lastError, holder },
    ...{ start_time: progress.startTime, update_time: progress.updateTime },
  };
}

/** The result of `store move verify --json`. */
export function verificationJson(result: VerifyState, resumedFrom: string): object {
  const { state, checked, bytes, damaged, damagedCount, unknown, startTime, endTime } = result;
  return {
    ...{ state, checked, bytes, resumed_from: resumedFrom, damaged, damaged_count: damagedCount, unknown },
    ...{ start_time: startTime, end_time: endTime },
  };
}

/** The result of `store move retire --json`. */
export function retiredJson(result: Retired): object {
  const { deleted, deletedBytes, unproven, unknown, derived = 0, unfinished = 0 } = result;
  return { deleted, deleted_bytes: deletedBytes, derived, unfinished, unproven, unknown };
}

/** The result of `store move status --json`. */
export function statusJson(status: StoreMoveStatus): object {
  const { row, progress, state, lagMs, verification, replicas, retired, nextSteps } = status;
  const none = { cursor: '', copied: 0, copied_bytes: 0, followed: 0, rate: 0, refused: [] };
  return {
    state,
    ...(progress ? progressJson(progress) : none),
    lag: lagMs === undefined ? null : lagMs / 1_000,
    active: row?.active ?? 'source',
    epoch: row?.epoch ?? 0,
    source: row?.source.kind ?? null,
    target: row?.target.kind ?? null,
    switch_time: row?.switchTime ?? '',
    replicas,
    verify: verification ? { ...verificationJson(verification, ''), stale: verification.isStale } : null,
    retire: retired ? retiredJson(retired) : null,
    urls_until: status.urlsEnd?.toISOString() ?? null,
    next_steps: nextSteps,
  };
}

/** The same for people. */
export function statusText(status: StoreMoveStatus): string {
  const { row, progress, state, lagMs, verification, replicas, retired, nextSteps } = status;
  const lag = lagMs === undefined ? 'the change log was cut' : `${lagMs / 1_000} s behind`;
  return [
    row === undefined
      ? 'state: none'
      : `state: ${state}, from ${row.source.kind} to ${row.target.kind}, new files go to the ${row.active === 'source' ? 'old' : 'new'} store`,
    ...(progress ? [`${progress.copied} files copied, ${progress.followed} changes followed, ${lag}`] : []),
    ...(progress?.lastError ? [`stopped by: ${progress.lastError}`] : []),
    ...(progress?.refused ?? []).map(({ id, reason }) => `not copied: ${id}: ${reason}`),
    verification
      ? `verify: ${verification.state}, ${verification.checked} files, ${verification.damagedCount} damaged, ${verification.endTime || verification.startTime}`
      : 'verify: never run',
    `replicas: ${replicas.count} running, ${replicas.current} follow the move`,
    ...(retired ? [`retire: ${retired.deleted} files deleted, ${retired.unproven.length} kept`] : []),
    ...(status.urlsEnd ? [`URLs of the old store may be in use until ${status.urlsEnd.toISOString()}`] : []),
    ...nextSteps.map((command) => `next: ${command}`),
  ].join('\n');
}
