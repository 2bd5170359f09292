import { describe, expect, it } from '@jest/globals';
import { MoveProgress } from '../../../src/cli/move-progress.ts';
import type { BackfillState } from '../../../src/legacy/backfill-state.ts';

const MEBIBYTE = 2 ** 20;

function stateOf(files: number, mebibytes: number, more: Partial<BackfillState> = {}): BackfillState {
  return {
    ...{ state: 'running', startTime: '', updateTime: '', holder: '', cursor: '', rate: 0, slowedBy: null },
    ...{ total: { files: 100, bytes: 100 * MEBIBYTE }, counts: { moved: files }, lastError: '' },
    ...{ movedBytes: mebibytes * MEBIBYTE, ...more },
  };
}

describe('the progress of a backfill', () => {
  it('estimates the time left by files or by bytes, whichever is longer', () => {
    let now = 0;
    const progress = new MoveProgress(() => now);
    expect(progress.show(stateOf(0, 0))).toBe(`[${'.'.repeat(24)}] 0%  0/100 files  0 B of 100.0 MiB`);
    now = 10_000;
    expect(progress.show(stateOf(50, 25))).toBe(
      `[${'#'.repeat(6)}${'.'.repeat(18)}] 25%  50/100 files  25.0 MiB of 100.0 MiB  about 30 s left`,
    );
    now = 20_000;
    expect(progress.show(stateOf(60, 90))).toContain(
      '60%  60/100 files  90.0 MiB of 100.0 MiB  about 14 s left',
    );
    expect(progress.show(stateOf(100, 95))).toContain(`[${'#'.repeat(24)}] 100%  100/100 files`);
  });

  it('counts from where the run began, and not while it pauses', () => {
    let now = 0;
    const progress = new MoveProgress(() => now);
    progress.show(stateOf(40, 40));
    now = 10_000;
    progress.show(stateOf(50, 50));
    now = 1_000_000;
    expect(progress.show(stateOf(50, 50, { state: 'paused' }))).toMatch(/about 50 s left {2}paused$/);
    now = 1_010_000;
    expect(progress.show(stateOf(60, 60, { slowedBy: 'catalog' }))).toMatch(
      /about 40 s left {2}slowed down by the catalog$/,
    );
  });
});
