import { randomUUID } from 'node:crypto';
import type { Config } from '../config/config.ts';
import { MoveRefused, type MovedCatalogs, type MoveProgress } from '../move/catalog/progress.ts';
import type { MoveStatus } from '../move/catalog/status.ts';
import type { MoveVerification } from '../move/catalog/verification.ts';
import { confirmed } from './confirm.ts';
import { endProgress, say, showProgress } from './terminal.ts';

/** Options of `catalog move`. */
export interface CatalogMoveFlags {
  readonly json?: true;
  readonly yes?: true;
  readonly rate?: number;
  readonly repair?: true;
  readonly restart?: true;
}

/** Runs `catalog move start`. Resolves with the exit code. */
export async function runStart(config: Config, { json, yes, rate }: CatalogMoveFlags): Promise<number> {
  const what = 'copies the records of the service into the catalog of ASSET_NEXT_CATALOG';
  if (!(await confirmed(what, yes ?? false))) return 1;
  const { notMovable } = await import('../app/catalog-move.ts');
  const { startMove } = await import('../move/catalog/start.ts');
  return step(config, async (catalogs, holder, signal) => {
    const onProgress = ({ copied, followed }: MoveProgress) =>
      showProgress(`${copied} records, ${followed} changes`);
    const whyNot = await notMovable(config, catalogs);
    const progress = await startMove(catalogs, { holder, rate, onProgress, whyNot }, signal);
    endProgress();
    await note(config, 'start', { copied: progress.copied, refused: progress.refused.length });
    const text = `copied ${progress.copied} records and followed ${progress.followed} changes to ${progress.target}`;
    print(json, progressJson(progress), text);
    for (const { id, reason } of progress.refused) say(`${id} is refused: ${reason}`);
    return progress.refused.length > 0 ? 1 : 0;
  });
}

/** Runs `catalog move verify`. Resolves with the exit code. */
export async function runMoveVerify(config: Config, flags: CatalogMoveFlags): Promise<number> {
  const { notMovable } = await import('../app/catalog-move.ts');
  const { startMove } = await import('../move/catalog/start.ts');
  const { verifyMove } = await import('../move/catalog/verify.ts');
  return step(config, async (catalogs, holder, signal) => {
    const whyNot = await notMovable(config, catalogs);
    const options = { holder, whyNot };
    let result = await verifyMove(catalogs, { ...options, restart: flags.restart ?? false }, signal);
    if (flags.repair && result.damagedCount > 0) {
      await startMove(catalogs, options, signal);
      result = { ...(await verifyMove(catalogs, options, signal)), resumedFrom: result.resumedFrom };
    }
    const { checked, damagedCount, damaged } = result;
    await note(config, 'verify', { checked, damaged: damagedCount });
    print(flags.json, verificationJson(result, result.resumedFrom), `compared ${checked} records`);
    if (!flags.json) for (const { id, reason } of damaged) say(`${id}: ${reason}`);
    if (damagedCount > 0) say(`${damagedCount} are not the same in both catalogs`);
    return damagedCount > 0 ? 1 : 0;
  });
}

/** Runs `catalog move cancel`. Resolves with the exit code. */
export async function runCancel(config: Config, { json, yes }: CatalogMoveFlags): Promise<number> {
  if (!(await confirmed('ends the move; what was copied stays where it is', yes ?? false))) return 1;
  const { cancelMove } = await import('../move/catalog/start.ts');
  return step(config, async (catalogs, holder, signal) => {
    const progress = await cancelMove(catalogs, { holder }, signal);
    if (progress === undefined) throw new MoveRefused('no move was begun');
    await note(config, 'cancel', { copied: progress.copied });
    print(json, progressJson(progress), `the move to ${progress.target} is cancelled`);
    return 0;
  });
}

/** Runs `catalog move status`. Resolves with the exit code. */
export async function runMoveStatus(config: Config, { json }: CatalogMoveFlags): Promise<number> {
  const { withSource } = await import('../app/catalog-move.ts');
  const { moveStatus } = await import('../move/catalog/status.ts');
  const status = await withSource(config, (source) => moveStatus(source));
  print(json, statusJson(status), statusText(status));
  return 0;
}

/** Runs a step on both catalogs; a refusal is told, and gives the exit code 1. */
async function step(
  config: Config,
  work: (catalogs: MovedCatalogs, holder: string, signal: AbortSignal) => Promise<number>,
): Promise<number> {
  const { withMove } = await import('../app/catalog-move.ts');
  const interrupted = new AbortController();
  const interrupt = () => interrupted.abort(new MoveRefused('interrupted: the next run goes on'));
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    return await withMove(config, (catalogs) => work(catalogs, randomUUID(), interrupted.signal));
  } catch (error) {
    endProgress();
    if (!(error instanceof MoveRefused)) throw error;
    say(error.message);
    return 1;
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}

async function note(config: Config, what: string, facts: Readonly<Record<string, number>>): Promise<void> {
  const { recordStep } = await import('../app/legacy.ts');
  await recordStep(config, `catalog.move.${what}`, facts);
}

function print(json: true | undefined, value: object, text: string): void {
  process.stdout.write(`${json ? JSON.stringify(value) : text}\n`);
}

/** What programs read of the progress. */
function progressJson(progress: MoveProgress): object {
  const { state, cursor, copied, followed, rate, target, refused, lastError, holder } = progress;
  return {
    ...{ state, cursor, copied, followed, rate, target, refused, last_error: lastError, holder },
    ...{ start_time: progress.startTime, update_time: progress.updateTime },
  };
}

function verificationJson(result: MoveVerification, resumedFrom: string): object {
  const { state, checked, damaged, damagedCount, startTime, endTime } = result;
  return {
    ...{ state, checked, resumed_from: resumedFrom, damaged, damaged_count: damagedCount },
    ...{ start_time: startTime, end_time: endTime },
  };
}

function statusJson({ progress, lagMs, verification, nextSteps }: MoveStatus): object {
  const none = { state: 'none', cursor: '', copied: 0, followed: 0, rate: 0, refused: [] };
  const { isStale, ...result } = verification ?? { isStale: true };
  return {
    ...(progress ? progressJson(progress) : none),
    lag: lagMs === undefined ? null : lagMs / 1_000,
    verify: 'state' in result ? { ...verificationJson(result, ''), stale: isStale } : null,
    next_steps: nextSteps,
  };
}

function statusText({ progress, lagMs, verification, nextSteps }: MoveStatus): string {
  const lag = lagMs === undefined ? 'the change log was cut' : `${lagMs / 1_000} s behind`;
  const compared =
    verification &&
    `verify: ${verification.state}, ${verification.checked} records, ${verification.damagedCount} differ, ${verification.endTime || verification.startTime}`;
  return [
    progress
      ? `state: ${progress.state}, to ${progress.target}, ${progress.copied} records, ${progress.followed} changes, ${lag}`
      : 'state: none',
    ...(progress?.lastError ? [`stopped by: ${progress.lastError}`] : []),
    ...(progress?.refused ?? []).map(({ id, reason }) => `refused: ${id}: ${reason}`),
    compared ?? 'verify: never run',
    ...nextSteps.map((command) => `next: ${command}`),
  ].join('\n');
}
