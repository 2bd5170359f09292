import type { FileCatalog } from '../catalog/file-catalog.ts';
import type { LegacyUse } from '../catalog/legacy-records.ts';
import { AUDIT_STATE } from './audit.ts';
import { problemsOf, type AuditState } from './audit-report.ts';
import { backfillState, type BackfillState } from './backfill-state.ts';
import { lockJournal, type LockJournal } from './lock-journal.ts';
import { purgeState, type PurgeState } from './purge-state.ts';
import { whyNotVerified } from './verification.ts';
import { verifyState, type VerifyState } from '../move/verify.ts';

/** Use of old paths: one entry per caller and form, the latest first. */
export interface UseSummary extends Pick<LegacyUse, 'caller' | 'kind' | 'count'> {
  /** Day of the last use, such as `2026-11-29`, in UTC. */
  readonly lastDay: string;
}

/** Status of a move. */
export interface MoveStatus {
  /** The last step that is still valid. */
  readonly state: 'serving' | 'audited' | 'moving' | 'moved' | 'verified' | 'locked' | 'purged';
  readonly audit: AuditState | undefined;
  readonly backfill: BackfillState | undefined;
  readonly verify: VerifyState | undefined;
  /** True if every file was moved, and then every byte was verified without damage. */
  readonly isVerified: boolean;
  /** The journal of the lock, also while the lock is incomplete. */
  readonly lock: LockJournal | undefined;
  readonly purge: PurgeState | undefined;
  readonly uses: readonly UseSummary[];
  /** The next commands, in order. */
  readonly nextSteps: readonly string[];
}

/** Reads the status of a move from the catalog. Changes nothing. */
export async function moveStatus(catalog: FileCatalog): Promise<MoveStatus> {
  const [audited, backfill, verified, lock, purge, uses] = await Promise.all([
    catalog.legacy.getState(AUDIT_STATE),
    backfillState(catalog.legacy),
    verifyState(catalog),
    lockJournal(catalog.legacy),
    purgeState(catalog.legacy),
    catalog.legacy.listUses(),
  ]);
  const audit = audited as AuditState | undefined;
  const isVerified =
    backfill?.state === 'done' && isMoved(backfill) && whyNotVerified(backfill, verified) === undefined;
  const states = { audit, backfill, verify: verified, isVerified, lock, purge };
  return { ...states, state: stateOf(states), uses: summaryOf(uses), nextSteps: nextSteps(states) };
}

type States = Pick<MoveStatus, 'audit' | 'backfill' | 'verify' | 'isVerified' | 'lock' | 'purge'>;

function stateOf({ audit, backfill, isVerified, lock, purge }: States): MoveStatus['state'] {
  if (lock?.phase === 'locked') return isPurged(purge) ? 'purged' : 'locked';
  if (backfill?.state === 'done' && isMoved(backfill)) return isVerified ? 'verified' : 'moved';
  if (backfill !== undefined && !['cancelled', 'undone'].includes(backfill.state)) return 'moving';
  return audit?.phase === 'done' ? 'audited' : 'serving';
}

function isPurged(purge: PurgeState | undefined): boolean {
  const { unproven = 0, differs = 0 } = purge?.counts ?? {};
  return purge?.state === 'done' && unproven + differs === 0;
}

function isMoved({ counts }: BackfillState): boolean {
  const { missing = 0, mismatch = 0, unreadable = 0, refused = 0 } = counts;
  return missing + mismatch + unreadable + refused === 0;
}

function nextSteps(states: States): readonly string[] {
  const { audit, backfill, isVerified, lock } = states;
  const run = 'asset-service legacy';
  if (lock?.phase === 'locking') return [`${run} lock --enforce --yes`, `${run} unlock`];
  if (lock?.phase === 'unlocking') return [`${run} unlock`];
  switch (stateOf(states)) {
    case 'serving':
      return [`${run} audit --report audit.jsonl`];
    case 'audited':
      return [
        ...(problemsOf(audit!) > 0 ? [`${run} audit --restart`] : []),
        `${run} backfill --dry-run`,
        `${run} backfill --yes`,
      ];
    case 'moving':
      if (backfill!.state === 'running') return [`${run} backfill pause`, `${run} status`];
      if (backfill!.state === 'paused') return [`${run} backfill resume`];
      if (backfill!.state === 'stopped') return [`${run} backfill --yes`];
      return [`${run} backfill --report trouble.jsonl --yes`, `${run} acknowledge ID --reason TEXT --yes`];
    case 'moved':
      return ['asset-service verify'];
    case 'verified':
      return [`${run} lock --shadow`, `${run} lock --enforce --yes`];
    case 'locked':
      if (!isVerified) return [`${run} backfill`, 'asset-service verify'];
      return [
        `${run} purge --dry-run --max-purge 100`,
        `${run} purge --yes --max-purge 100`,
        `${run} unlock`,
      ];
    case 'purged':
      return [`${run} views create`, `${run} views drop-link --yes`, `${run} views status`];
  }
}

function summaryOf(uses: readonly LegacyUse[]): readonly UseSummary[] {
  const sums = new Map<string, UseSummary>();
  // The newest day comes first.
  for (const { caller, kind, day, count } of uses) {
    const key = JSON.stringify([caller, kind]);
    const known = sums.get(key);
    sums.set(key, { caller, kind, lastDay: known?.lastDay ?? day, count: count + (known?.count ?? 0) });
  }
  return [...sums.values()];
}
