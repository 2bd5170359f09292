import { randomUUID } from 'node:crypto';
import type { Config } from '../config/config.ts';
import { backfill } from '../legacy/backfill.ts';
import {
  acknowledge,
  backfillState,
  controlBackfill,
  type BackfillControl,
  type BackfillState,
} from '../legacy/backfill-state.ts';
import { undoBackfill } from '../legacy/undo.ts';
import type { MoveOutcome } from '../legacy/move-file.ts';
import { confirmed } from './confirm.ts';
import { MoveProgress } from './move-progress.ts';
import { ReportFile } from './report-file.ts';
import { interruptible } from './interruptible.ts';
import { sizeAsText, endProgress, say, showProgress } from './terminal.ts';

/** Options of `legacy backfill`. */
export interface BackfillFlags {
  readonly json?: true;
  readonly dryRun?: true;
  readonly yes?: true;
  readonly rate?: number;
  readonly workers: number;
  /** Path of a report with one JSON line for each file that could not be moved. */
  readonly report?: string;
}

/** Longer than the lease of a killed command. */
const CONTROL_TIMEOUT_MS = 60_000;

const OUTCOMES: readonly MoveOutcome[] = [
  ...(['moved', 'already', 'missing', 'mismatch', 'unreadable', 'refused', 'acknowledged'] as const),
];

/** Heading in reports for files with headers that the service does not send. */
export const OTHER_HEADERS = 'files whose readers get other headers than from the old bucket';

/** Runs `legacy backfill` to its end, or until it is interrupted. Resolves with the exit code. */
export async function runBackfill(config: Config, flags: BackfillFlags): Promise<number> {
  const dryRun = flags.dryRun ?? false;
  const what = 'copies the bytes of old files into the store of the service and changes their records';
  if (!dryRun && !(await confirmed(what, flags.yes ?? false))) return 1;
  const { operator, recordStep, withOldSystem } = await import('../app/legacy.ts');
  const { moveMemory } = await import('../app/move-memory.ts');
  return interruptible(new Error('interrupted: the next run goes on'), async (signal) => {
    const report = await ReportFile.open(flags.report);
    try {
      const progress = new MoveProgress();
      const state = await withOldSystem(config, (system) =>
        backfill(
          system,
          {
            ...{ dryRun, holder: holderName(operator()), workers: flags.workers, rate: flags.rate },
            ...moveMemory(config),
            onTrouble(id, { outcome, why = '', differs }) {
              report?.write({ id, outcome, why, ...(differs && { differs }) });
              if (!flags.json && outcome !== 'moved') say(`${id}: ${outcome}: ${why}`);
            },
            onStreaming: () =>
              say('the store does not copy from the old bucket: the bytes go through this machine'),
            onProgress(now) {
              showProgress(progress.show(now));
            },
          },
          signal,
        ),
      );
      endProgress();
      if (state === undefined) {
        say(await withOldSystem(config, async ({ catalog }) => whoRuns(await backfillState(catalog.legacy))));
        return 1;
      }
      if (!dryRun) await recordStep(config, 'legacy.backfill', numbersOf(state));
      process.stdout.write(flags.json ? `${JSON.stringify(toJson(state, dryRun))}\n` : asText(state, dryRun));
      const left = troubleOf(state);
      if (left > 0)
        say(`${left} files could not be moved: mend them, or legacy acknowledge ID --reason TEXT`);
      return left > 0 || state.state === 'cancelled' ? 1 : 0;
    } finally {
      await report?.close();
    }
  });
}

/** Serves moved files from the old bucket again. Resolves with the exit code. */
export async function runUndo(
  config: Config,
  { json, yes, workers }: Pick<BackfillFlags, 'json' | 'yes' | 'workers'>,
): Promise<number> {
  const what = 'serves moved files from the old bucket again and restores their links';
  if (!(await confirmed(what, yes ?? false))) return 1;
  const { operator, recordStep, withOldSystem } = await import('../app/legacy.ts');
  return interruptible(new Error('interrupted: repeat the command, which goes on'), async (signal) => {
    const done = await withOldSystem(config, (system) =>
      undoBackfill(
        system,
        {
          ...{ holder: holderName(operator()), workers },
          onKept: (id, why) => say(`${id}: stays in the store of the service: ${why}`),
          onProgress: (undone) => showProgress(`${undone} files`),
        },
        signal,
      ),
    );
    endProgress();
    if (done === undefined) {
      say(await withOldSystem(config, async ({ catalog }) => whoRuns(await backfillState(catalog.legacy))));
      return 1;
    }
    await recordStep(config, 'legacy.backfill.undo', { ...done });
    const text = `undone: ${done.undone} files, ${done.kept} stay in the store of the service\n`;
    process.stdout.write(json ? `${JSON.stringify(done)}\n` : text);
    return done.kept > 0 ? 1 : 0;
  });
}

/** Sends a request to a backfill that runs on any machine. Resolves with the exit code. */
export async function runControl(
  config: Config,
  asked: Partial<BackfillControl>,
  { text, json }: { readonly text: string; readonly json?: true | undefined },
): Promise<number> {
  const { recordStep, withOldSystem } = await import('../app/legacy.ts');
  return withOldSystem(config, async ({ catalog }) => {
    const state = await backfillState(catalog.legacy);
    if (state?.state !== 'running' && state?.state !== 'paused') {
      say(`no backfill runs (${state?.state ?? 'none was ever begun'})`);
      return 1;
    }
    await controlBackfill(catalog, asked, AbortSignal.timeout(CONTROL_TIMEOUT_MS));
    await recordStep(config, 'legacy.backfill.control', { asked: JSON.stringify(asked) });
    process.stdout.write(json ? `${JSON.stringify({ asked })}\n` : `${text}\n`);
    return 0;
  });
}

/** A unique name of this process for operators, of at most 64 characters as a lease requires. */
function holderName(operator: string): string {
  return `${operator.slice(0, 40)} ${process.pid} ${randomUUID().slice(0, 8)}`;
}

function whoRuns(state: BackfillState | undefined): string {
  const holder = state === undefined ? '' : `: ${state.holder}, last heard of at ${state.updateTime}`;
  return `another process runs the backfill${holder}; nothing was done`;
}

/** Records that the damage of a file is known. Resolves with the exit code. */
export async function runAcknowledge(
  config: Config,
  id: string,
  {
    reason,
    yes = false,
    json = false,
  }: { readonly reason: string; readonly yes?: boolean; readonly json?: boolean },
): Promise<number> {
  if (!(await confirmed(`lets file ${JSON.stringify(id)} stay unmoved`, yes))) return 1;
  const { operator, recordStep, withOldSystem } = await import('../app/legacy.ts');
  return withOldSystem(config, async ({ catalog }) => {
    if (!(await catalog.get([id])).has(id)) {
      say(`there is no file ${JSON.stringify(id)}`);
      return 1;
    }
    const what = { reason, by: operator(), time: new Date().toISOString() };
    await acknowledge(catalog, id, what, AbortSignal.timeout(CONTROL_TIMEOUT_MS));
    await recordStep(config, 'legacy.acknowledge', { file: id, reason });
    process.stdout.write(json ? `${JSON.stringify({ id, reason })}\n` : `${id} is acknowledged\n`);
    return 0;
  });
}

function doneOf({ counts }: BackfillState): number {
  return OUTCOMES.reduce((sum, outcome) => sum + (counts[outcome] ?? 0), 0);
}

function troubleOf({ counts }: BackfillState): number {
  const trouble = ['missing', 'mismatch', 'unreadable', 'refused'] as const;
  return trouble.reduce((sum, outcome) => sum + (counts[outcome] ?? 0), 0);
}

function numbersOf(state: BackfillState): Record<string, number> {
  return Object.fromEntries(OUTCOMES.map((outcome) => [outcome, state.counts[outcome] ?? 0]));
}

/** A state for --json. */
export function toJson(state: BackfillState, dryRun = false): object {
  const { total, movedBytes, cursor, rate, slowedBy, workers = 0, lastError, startTime, updateTime } = state;
  return {
    ...{
      state: state.state,
      dry_run: dryRun,
      ...numbersOf(state),
      total: total.files,
      total_bytes: total.bytes,
    },
    ...{ server_side: state.serverSide ?? 0, other_headers: state.differing ?? 0 },
    ...{ moved_bytes: movedBytes, cursor, rate, slowed_by: slowedBy, workers, last_error: lastError },
    ...{ start_time: startTime, update_time: updateTime, holder: state.holder },
  };
}

function asText(state: BackfillState, dryRun: boolean): string {
  const rows = OUTCOMES.map((outcome) => `  ${String(state.counts[outcome] ?? 0).padStart(9)}  ${outcome}`);
  const head = dryRun ? 'what a backfill would do (nothing was written)' : `backfill: ${state.state}`;
  return [
    head,
    ...rows,
    `  ${String(doneOf(state)).padStart(9)}  in all, ${sizeAsText(state.movedBytes)}`,
    ...(state.differing ? [`  ${String(state.differing).padStart(9)}  ${OTHER_HEADERS} (--report)`] : []),
    '',
  ].join('\n');
}
