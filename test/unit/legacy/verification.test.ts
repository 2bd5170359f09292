import { describe, expect, it } from '@jest/globals';
import type { BackfillState } from '../../../src/legacy/backfill-state.ts';
import { whyNotVerified } from '../../../src/legacy/verification.ts';
import type { VerifyState } from '../../../src/move/verify.ts';

const backfill: BackfillState = {
  ...{ state: 'done', startTime: '2026-11-01T08:00:00.000Z', updateTime: '2026-11-01T09:00:00.000Z' },
  ...{ holder: 'a', cursor: 'z', total: { files: 3, bytes: 3 }, counts: { moved: 3 }, movedBytes: 3 },
  ...{ rate: 0, slowedBy: null, lastError: '' },
};
const verify: VerifyState = {
  ...{ state: 'done', startTime: '2026-11-01T10:00:00.000Z', endTime: '2026-11-01T11:00:00.000Z' },
  ...{ cursor: 'z', sample: 100, since: '', checked: 3, bytes: 3, unknown: 0, notMoved: 0 },
  ...{ damagedCount: 0, damaged: [] },
};
const now = new Date('2026-11-02T10:00:00.000Z');

describe('what a verification proves', () => {
  it('proves the bytes of all files if it read all of them after they were moved', () => {
    expect(whyNotVerified(backfill, verify, { now })).toBeUndefined();
  });

  it.each<[string, Partial<VerifyState>]>([
    ['has not ended', { state: 'running' }],
    ['read 50 percent', { sample: 50 }],
    ['changed since 2026-10-30', { since: '2026-10-30T00:00:00.000Z' }],
    ['found 2 damaged', { damagedCount: 2 }],
    ['no answer about 1 files', { unknown: 1 }],
    ['before the last backfill ended', { startTime: '2026-11-01T08:59:59.999Z' }],
  ])('does not if it %s', (text, change) => {
    expect(whyNotVerified(backfill, { ...verify, ...change }, { now })).toContain(text);
  });

  it('does not if there is none, or it is older than the bound', () => {
    expect(whyNotVerified(backfill, undefined)).toContain('ever run');
    expect(whyNotVerified(backfill, verify, { now, maxAgeMs: 23 * 3_600_000 })).toContain('1.0 days old');
    expect(whyNotVerified(backfill, verify, { now, maxAgeMs: 25 * 3_600_000 })).toBeUndefined();
    expect(whyNotVerified(backfill, verify, { now: new Date('2026-11-09T10:00:00.000Z') })).toContain(
      '8.0 days',
    );
  });
});
