import type { BackfillState } from './backfill-state.ts';
import type { VerifyState } from '../move/verify.ts';

/** Default maximum age of a verification, in milliseconds. */
export const VERIFICATION_MAX_AGE_MS = 7 * 24 * 60 * 60 * 1_000;

/** Options of {@link whyNotVerified}. */
export interface VerificationBound {
  /** Default {@link VERIFICATION_MAX_AGE_MS}. */
  readonly maxAgeMs?: number;
  /** Default now. */
  readonly now?: Date;
}

/**
 * Why a verification does not prove the bytes of all moved files, as text for an operator; undefined if it proves them.
 * It must be of all files, have started after the last backfill ended, and be no older than the bound.
 */
export function whyNotVerified(
  backfill: BackfillState | undefined,
  verify: VerifyState | undefined,
  { maxAgeMs = VERIFICATION_MAX_AGE_MS, now = new Date() }: VerificationBound = {},
): string | undefined {
  if (verify === undefined) return 'no verification was ever run';
  if (verify.state !== 'done') return `the verification begun at ${verify.startTime} has not ended`;
  if (verify.sample < 100) return `the last verification read ${verify.sample} percent of the files alone`;
  if (verify.since !== '') return `the last verification read the files changed since ${verify.since} alone`;
  if (verify.damagedCount > 0) return `the last verification found ${verify.damagedCount} damaged files`;
  if (verify.unknown > 0) return `the store gave no answer about ${verify.unknown} files`;
  // It may have passed the position of files that were moved while it ran.
  if (backfill !== undefined && verify.startTime < backfill.updateTime) {
    return `the last verification began at ${verify.startTime}, before the last backfill ended`;
  }
  const ageMs = now.getTime() - new Date(verify.startTime).getTime();
  if (ageMs > maxAgeMs) {
    const days = (ms: number) => (ms / 86_400_000).toFixed(1);
    return `the last verification is ${days(ageMs)} days old, and at most ${days(maxAgeMs)} are allowed`;
  }
  return undefined;
}
