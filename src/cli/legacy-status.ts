import type { Config } from '../config/config.ts';
import { problemsOf } from '../legacy/audit-report.ts';
import type { BackfillState } from '../legacy/backfill-state.ts';
import type { LockJournal } from '../legacy/lock-journal.ts';
import { moveStatus, type MoveStatus } from '../legacy/status.ts';
import { toJson as backfillJson } from './legacy-backfill.ts';
import { purgeJson } from './legacy-purge.ts';
import { notProven } from './legacy-lock.ts';
import { printable } from './terminal.ts';
import { toJson as verifyJson } from './verify-command.ts';

/** Runs `legacy status`. Resolves with the exit code. */
export async function runStatus(config: Config, { json }: { readonly json?: true }): Promise<number> {
  const { withStoreAndCatalog } = await import('../app/legacy.ts');
  const status = await withStoreAndCatalog(config, ({ catalog }) => moveStatus(catalog));
  process.stdout.write(json ? `${JSON.stringify(toJson(status))}\n` : asText(status));
  return 0;
}

function toJson({ state, audit, backfill, verify, lock, purge, uses, nextSteps }: MoveStatus): object {
  const { moved = 0, already = 0 } = backfill?.counts ?? {};
  return {
    ...{ state, cursor: backfill?.cursor ?? '', copied: moved + already, rate: backfill?.rate ?? 0 },
    audit: audit ? { ...audit, problems: problemsOf(audit) } : null,
    backfill: backfill ? backfillJson(backfill) : null,
    verify: verify ? verifyJson(verify) : null,
    lock: lock ? lockJson(lock) : null,
    purge: purge ? purgeJson(purge) : null,
    legacy_paths: uses.map(({ caller, kind, count, lastDay }) => ({
      caller,
      kind,
      count,
      last_day: lastDay,
    })),
    next_steps: nextSteps,
  };
}

function lockJson(lock: LockJournal): object {
  const { phase, by, startTime, lockTime, notKnown, withoutPocketBase, ...journal } = lock;
  return {
    ...{ phase, by, start_time: startTime, lock_time: lockTime, not_known: notKnown, ...journal },
    ...(withoutPocketBase !== undefined && { without_pocketbase: withoutPocketBase }),
    collection_proven: phase === 'locked' && withoutPocketBase === undefined,
  };
}

function backfillText({ state, counts, total, workers, updateTime, lastError }: BackfillState): string {
  return [
    `backfill: ${state}, ${JSON.stringify(counts)} of ${total.files}`,
    ...(state === 'running' && workers !== undefined ? [`files at once: ${workers}`] : []),
    updateTime,
    ...(lastError === '' ? [] : [`stopped by: ${lastError}`]),
  ].join(', ');
}

function asText({ state, audit, backfill, verify, lock, purge, uses, nextSteps }: MoveStatus): string {
  return [
    `state: ${state}`,
    audit
      ? `audit: ${audit.phase}, begun ${audit.startTime}, ${problemsOf(audit)} problems`
      : 'audit: never run',
    backfill ? backfillText(backfill) : 'backfill: never run',
    verify
      ? `verify: ${verify.state}, ${verify.checked} files, ${verify.damagedCount} damaged, ${verify.endTime || verify.startTime}`
      : 'verify: never run',
    lock ? `lock: ${lock.phase}, ${lock.lockTime || lock.startTime}, by ${lock.by}` : 'lock: not locked',
    ...(lock?.withoutPocketBase === undefined ? [] : [`  ${notProven(lock.withoutPocketBase)}`]),
    purge
      ? `purge: ${purge.state}, ${JSON.stringify(purge.counts)} of ${purge.listed} objects, ${purge.endTime || purge.startTime}`
      : 'purge: never run',
    uses.length === 0 ? 'old paths: never used' : 'old paths:',
    ...uses.map(
      ({ caller, kind, count, lastDay }) =>
        `  last used by ${printable(caller)} on ${lastDay} (${kind}, ${count} times in all)`,
    ),
    nextSteps.length === 0 ? 'next: nothing' : 'next:',
    ...nextSteps.map((step) => `  ${step}`),
    '',
  ].join('\n');
}
