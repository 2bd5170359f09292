import { randomUUID } from 'node:crypto';
import type { Config } from '../config/config.ts';
import { purge } from '../legacy/purge.ts';
import type { PurgeState, PurgeStatus } from '../legacy/purge-state.ts';
import { confirmed } from './confirm.ts';
import { output, refusable, repeatable } from './legacy-lock.ts';
import { ReportFile } from './report-file.ts';
import { endProgress, say, showProgress, sizeAsText } from './terminal.ts';

/** Options of `legacy purge`. */
export interface PurgeFlags {
  readonly dryRun?: true;
  readonly full?: true;
  readonly yes?: true;
  readonly json?: true;
  /** Percent. */
  readonly maxPurge: number;
  /** Days. */
  readonly maxAge: number;
  readonly rate: number;
  /** Path of a report with one JSON line for each object. */
  readonly report?: string;
}

const MEANINGS: Readonly<Record<PurgeStatus, string>> = {
  original: 'originals of moved files',
  thumb: 'thumbs of moved files',
  kept: 'objects of files that were not moved: they stay',
  orphan: 'objects without a record: they stay',
  differs: 'originals with other bytes than the copy: they stay',
  unproven: 'objects whose copy is missing or damaged: they stay',
};

/** Runs `legacy purge`. Resolves with the exit code. */
export async function runPurge(config: Config, flags: PurgeFlags): Promise<number> {
  const dryRun = flags.dryRun ?? false;
  const what = 'deletes the originals of moved files from the old bucket, which cannot be undone';
  if (!dryRun && !(await confirmed(what, flags.yes ?? false))) return 1;
  const { operator, recordStep, withLockableSystem } = await import('../app/legacy.ts');
  const report = await ReportFile.open(flags.report);
  try {
    return await refusable(flags, () =>
      repeatable(async (signal) => {
        const state = await withLockableSystem(config, (system) =>
          purge(
            system,
            {
              ...{ holder: randomUUID(), by: operator(), dryRun, full: flags.full ?? false },
              ...{ maxPercent: flags.maxPurge, maxAgeMs: flags.maxAge * 86_400_000, rate: flags.rate },
              onLine: (line) => report?.write(line),
              onProgress: (now) => showProgress(`${sumOf(now)}/${now.listed} objects`),
            },
            signal,
          ),
        );
        endProgress();
        if (!dryRun) await recordStep(config, 'legacy.purge', { ...state.counts, bytes: state.deletedBytes });
        output(flags, { dry_run: dryRun, ...purgeJson(state) }, purgeText(state, dryRun));
        const { differs = 0, unproven = 0 } = state.counts;
        if (differs + unproven === 0) return 0;
        say(
          `${differs} originals have other bytes than their copy, ${unproven} have no proven copy: they stay`,
        );
        return 1;
      }),
    );
  } finally {
    await report?.close();
  }
}

/** A purge for --json. */
export function purgeJson(state: PurgeState): object {
  const { counts, listed, planned, deletedBytes, startTime, endTime, by, lastError } = state;
  const numbers = Object.fromEntries(
    Object.keys(MEANINGS).map((name) => [name, counts[name as PurgeStatus] ?? 0]),
  );
  return {
    ...{ state: state.state, listed, planned, ...numbers, deleted_bytes: deletedBytes },
    ...{ by, start_time: startTime, end_time: endTime, last_error: lastError },
  };
}

function purgeText(state: PurgeState, dryRun: boolean): readonly string[] {
  const rows = Object.entries(MEANINGS).map(
    ([name, meaning]) => `  ${String(state.counts[name as PurgeStatus] ?? 0).padStart(9)}  ${meaning}`,
  );
  const share = state.listed === 0 ? 0 : (state.planned * 100) / state.listed;
  return [
    dryRun
      ? 'what a purge would do (nothing was deleted)'
      : `purge: ${state.state}, ${sizeAsText(state.deletedBytes)} deleted`,
    ...rows,
    `  ${String(state.listed).padStart(9)}  in all, ${share.toFixed(1)} percent to delete`,
  ];
}

function sumOf({ counts }: PurgeState): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
